# %% [markdown]
# # Further, 07 · Two ways to draw a kernel
#
# Lesson 07 shows kernels that all have the same contrast. Are they all equally strong?

# %%
from alexnet_edu.lessons import kernels as lesson
from alexnet_edu.notebook import show
from alexnet_edu.studies import networks

network = networks.load_weights("cifar10")
show(*lesson.two_scales(network))

# %% [markdown]
# The authors' `shownet.py` draws them in both ways: as they are, with one minimum and one maximum for all; or with `--norm-filters`, after the mean of each kernel has been subtracted and the rest divided by its standard deviation. In the upper picture the few strongest
# kernels take all the contrast, and a weak one looks empty. In the lower one a kernel that is hardly more than noise looks as important as any other. The source does not record which of the two Figure 3 is.
#
# **Move through the training**, with one scale for all kernels and all steps. At the start all are equally weak. When do they grow, and do all of them?

# %% tags=["nbval-ignore-output"]
lesson.training_explorer(network, scale="global", frames={"step": (0, 300, 6256)})

# %% [markdown]
# ## Your own network
#
# The same picture for a training of lesson 06, or for torchvision's AlexNet (64 first kernels in one column, no normalization; it is downloaded). Set `my_source` to `"data/runs/my-training"`, to `"torchvision"`, or to the path of a weights file.

# %% tags=["nbval-ignore-output"]
my_source = None
if my_source is not None:
    show(*lesson.sheets(networks.network(my_source)))
