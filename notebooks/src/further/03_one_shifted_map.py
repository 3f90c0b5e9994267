# %% [markdown]
# # Further, 03 · One map, one pixel
#
# Lesson 03 moves images and counts predictions that change. What happens in a *single* pooling layer, without any weights? (Do exercise 03.3 first: its answer stands below.)

# %%
from alexnet_edu.lessons import pooling as lesson
from alexnet_edu.notebook import load_cifar10, show

images = load_cifar10().test

# %% [markdown]
# Move an image by 2 pixels, and the map of a pooling layer with $s = 2$ moves by 1. Move it by 1 pixel, and there is no such rule. For averages over independent noise the change follows from what two windows share. Of the $z$ columns of a window, $z - 1$ stay in it. So two outputs are correlated with $\rho = (z-1)/z$, and
#
# $$\frac{\lVert P' - P \rVert}{\lVert P - \overline{P} \rVert} \approx \sqrt{2(1 - \rho)} = \sqrt{2/z}: \qquad 1 \text{ for } z = 2, \quad 0.82 \text{ for } z = 3.$$
#
# Two maps that have nothing to do with each other would have $\sqrt 2 \approx 1.41$. For photographs and for maxima there is no such formula, so we measure. Both views are cut from the same image: nothing is made up at the edge.

# %% tags=["nbval-ignore-output"]
show(*lesson.changed_maps(images))

# %% [markdown]
# On noise the averages are where the formula puts them. On images all changes are smaller, because neighbouring pixels are alike, and overlap has less to save. The intervals are smaller than the marks.
#
# This is the change *before* any training. A network could learn to make up for it. Those recorded in lesson 03 do not: the difference reaches their predictions.
