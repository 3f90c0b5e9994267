# %% [markdown]
# # Further, 04 · Rotation, scaling, noise, upside down; and a cloud of colours
#
# Lesson 04 shows changes that keep the label. Is that enough? Each was compared with none: 10,000 images, 24 epochs, one rate of 0.005, three seeds.

# %%
from alexnet_edu.data.augment import ColorPCA
from alexnet_edu.lessons import augmentation as lesson
from alexnet_edu.notebook import load, load_cifar10, show
from alexnet_edu.studies.record import table

record = load("augmentation")
show(*lesson.each_change(record))

# %% [markdown]
# Noise and upside-down images keep the label, and yet they make things worse. So keeping the label is not enough: the changed images should look like test images. Half of the images upside down means half as much practice with the others.
#
# Rotation and scaling point the right way, like crops and reflections. After 24 epochs three seeds cannot tell more: each of these slows learning down at first. After 60 epochs crops and reflections are eight points ahead.

# %%
print(record.origin())
print()
print(table(record))
print()
print(table(load("augmentation-long")))

# %% [markdown]
# ## The cloud
#
# Each point is a pixel. The arrows are $\pm\sqrt{\lambda_i}\,\mathbf p_i$: a shift of the paper is a tenth of such an arrow, typically.

# %% tags=["nbval-ignore-output"]
images = load_cifar10().train
show(*lesson.color_cloud(images, ColorPCA.fit(images.pixels)))

# %% [markdown]
# $\mathbf p_1$ has three components of one sign and nearly one size: lighter and darker. $\mathbf p_2$ is blue against red, the colour of the light. $\mathbf p_3$ is green against both, and hardly occurs. Photographs vary as daylight does.
