# %% [markdown]
# # Further, 05 · What fills three gigabytes?
#
# Lesson 05 says that training with 128 images needs 3,206 MiB on one GPU. The weights alone are a fourteenth of that. What is the rest?

# %%
from alexnet_edu.lessons import two_gpus as lesson
from alexnet_edu.model.architecture import variant
from alexnet_edu.two_gpus import traffic

held = traffic.memory_2012(variant("run145"))
for kind, words in traffic.KINDS.items():
    print(f"{kind:12} {traffic.mib(held, kind):6,.0f} MiB: {words}")

# %% [markdown]
# It is an estimate, array by array, from the configuration of run 145 and from what the released code keeps. Each step of a layer, such as ReLU or pooling, kept its outputs *and* their gradients. With ReLU
# and dropout computed in place it would be 2,804 MiB, and the network would fit. The estimate leaves out the context of CUDA and the workspaces of libraries, so the true number was larger.
#
# The *partial sums* are peculiar to this code. The gradient of a convolution's weights is a sum over places; it was made in parts, and the parts were kept until they were added.
#
# **Move the batch.** What grows, and what does not? How many images fit on one card, and how many on two?

# %% tags=["nbval-ignore-output"]
lesson.memory_explorer(frames={"batch": (64, 128)})

# %% [markdown]
# Weights and partial sums do not depend on the batch; everything else grows with it. Cut in two, each GPU holds half of everything but the images, which both need, and the copies of what the other column made. (GPU 0
# also has the classifier.)
