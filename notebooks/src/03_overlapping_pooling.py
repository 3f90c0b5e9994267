# %% [markdown]
# # 03 · Overlapping pooling: what does one more row in each window buy?
#
# **The claims** (§3.4). A pooling layer summarizes windows of $z \times z$ pixels, which stand $s$ pixels apart. Usually $s = z$. Here $s = 2$ and $z = 3$, so the windows overlap. Compared
# with $s = 2$, $z = 2$, whose outputs have the same size, this lowers the top-1 and top-5 errors by 0.4 and 0.3 points. And networks with overlapping pooling are slightly harder to overfit.
#
# **The answer.** In a small network on CIFAR-10 overlap helps more than that, and it does make overfitting harder; the 0.4 points themselves need ImageNet. Overlap makes a network care less about where exactly a thing lies. It is half of a
# remedy, and you will add the other half.

# %%
import math

import torch
import torch.nn.functional as F

from alexnet_edu.lessons import pooling as lesson
from alexnet_edu.model.architecture import output_side
from alexnet_edu.notebook import at_scale, check, hint, load, load_cifar10, show, verdict

record = load("pooling")
show(*lesson.windows_and_errors(record))

# %% [markdown]
# Solid and dashed: the first window and the next. With $z = 2$ each pixel is seen by one window. With $z = 3$ some are seen by two or four; away from the edge the average is $z^2/s^2 = 9/4$. (Some summaries say "s = 2 and s = 3". The stride is 2; it is
# the window that is 3 wide.) On the right both networks have the same learning rate. The second has no more weights than the first. Why should it be better?
#
# **Know first:** what a convolution is; training error and test error. **Time:** 45 minutes, of which two of computing, and 45 minutes of exercises.
#
# ## 1 · Predict
#
# Move every test image by *one pixel*. It is still the same cat. **For what share of the images does the trained network with $z = 2$ change its mind?** (If it did not care at all: 0%. If it guessed anew: 90%.)

# %%
my_percent = None  # for example 5

# %% [markdown]
# ## 2 · Derive
#
# First naively, one output after the other. A slice stops at the edge by itself, so a window that hangs over the edge takes the maximum of what it holds. Then for whole batches: beyond the edge we put $-\infty$, which is never
# the largest.


# %%
def max_pool_naive(x, z, s):
    """x: (n, n) -> (m, m)."""
    m = 1 + math.ceil((len(x) - z) / s)
    y = torch.empty(m, m)
    for i in range(m):
        for j in range(m):
            y[i, j] = x[s * i : s * i + z, s * j : s * j + z].max()
    return y


def max_pool(x, z, s):
    """x: (N, C, H, W) -> (N, C, h, w)."""
    over_h, over_w = ((z - n) % s for n in x.shape[2:])  # how far the last window hangs over
    x = F.pad(x, (0, over_w, 0, over_h), value=-math.inf)
    return x.unfold(2, z, s).unfold(3, z, s).amax((4, 5))  # the windows: (N, C, h, w, z, z)


# %% [markdown]
# **Which sizes come out?** The code of 2012 rounds up. PyTorch rounds down unless told otherwise, and the last pixels are seen by no window.
#
# $$m = 1 + \left\lceil \frac{n - z}{s} \right\rceil \quad (2012), \qquad\qquad m = 1 + \left\lfloor \frac{n - z}{s} \right\rfloor \quad (\text{PyTorch's default}).$$
#
# For $s = 2$, rounded up, $z = 2$ gives $\lceil n/2 \rceil$ outputs and $z = 3$ gives $\lceil (n-1)/2 \rceil$: the same number where $n$ is even. On CIFAR-10 the sides are 32, 16 and 8, so the comparison is fair.
#
# **What does a stride do?** Pool at *every* place, $s = 1$, and then throw away every second row and column:

# %%
x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
everywhere = max_pool(x, 2, 1)
print("z = 2: all places, thinned out:", torch.equal(everywhere[:, :, ::2, ::2], max_pool(x, 2, 2)))
print("z = 3: z = 2, once more on top:", torch.equal(max_pool(everywhere, 2, 2), max_pool(x, 3, 2)))

# %% [markdown]
# So a stride of 2 throws three of four values away. *Which* three depends on where the image happens to lie. Move it by one pixel to the side, and exactly what was kept before is now thrown away.
#
# Anyone who samples sound knows the trouble, and the cure: before you take every second value, remove whatever changes too fast for it. **Blur, then thin out.** By the second line, $z = 3$ is half of that: the maxima next to each
# other are compared before one of them is dropped. But a maximum of maxima hardly blurs. An average does (Zhang, 2019):


# %%
def blur_pool(x):
    """(N, C, n, n) -> (N, C, n/2, n/2): maxima at every place, two averages over 2×2, every second place kept."""
    x = F.max_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 2, stride=1)
    return F.avg_pool2d(F.avg_pool2d(x, 2, stride=1), 2, stride=2)


# %% [markdown]
# **Move a row of pixels by 1, then by 2**, with $z = 2$, then with $z = 3$, then blurred. When do the old outputs come back?

# %% tags=["nbval-ignore-output"]
lesson.pooling_explorer(frames={"shift": (1, 2)})

# %% [markdown]
# After 2 pixels everything comes back, one place further on. After 1 pixel, other pixels share a window, and the slope comes out with other values. $z = 3$ helps a little; the blur more than halves the difference.
#
# ## 3 · Bridge
#
# `max_pool` is PyTorch's layer with sizes rounded up, and the sizes are those that the package counts with.

# %%
for n in (7, 8, 13, 27):
    x = torch.randn(2, 3, n, n, generator=torch.Generator().manual_seed(n))
    for z in (2, 3):
        y = max_pool(x, z, 2)
        same = torch.equal(y, F.max_pool2d(x, z, stride=2, ceil_mode=True))
        naive = torch.equal(y[1, 2], max_pool_naive(x[1, 2], z, 2))
        size = y.shape[-1] == output_side(n, z, 2)
        print(f"n = {n}, z = {z}: equal to PyTorch's {same}, to the loop {naive}, size {size}")

# %% [markdown]
# ## 4 · Run
#
# Three networks that differ in their pooling alone: three convolutions and a classifier, the same starting weights, the same images in the same order. Then the test images move by 1 to 4 pixels.


# %%
def logits(x, weights, pool):
    """x: (N, 3, 32, 32) -> (N, 10). The sides: 32, 16, 8, 4."""
    *convolutions, classifier = weights
    for w in convolutions:
        x = F.relu(pool(F.conv2d(x, w, padding=2)))
    return F.linear(x.flatten(1), classifier)


def train(pool, images, labels, epochs, rate=0.004, seed=0):
    random = torch.Generator().manual_seed(seed)
    shapes = (32, 3, 5, 5), (32, 32, 5, 5), (64, 32, 5, 5), (10, 1024)
    weights = [torch.randn(shape, generator=random) for shape in shapes]
    weights = [(w * (2 / w[0].numel()) ** 0.5).requires_grad_() for w in weights]
    optimizer = torch.optim.SGD(weights, lr=rate, momentum=0.9)
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=random).split(50):
            optimizer.zero_grad()
            F.cross_entropy(logits(images[batch], weights, pool), labels[batch]).backward()
            optimizer.step()
    return weights


@torch.no_grad()
def predicted(images, weights, pool, shift=0):
    """Classes of images that are moved to the right; what comes in repeats the edge."""
    moved = F.pad(images, (shift, 0, 0, 0), mode="replicate")[:, :, :, :32]
    return torch.cat([logits(some, weights, pool).argmax(1) for some in moved.split(500)])


# %% tags=["nbval-ignore-output"]
cifar = load_cifar10()
count, epochs = at_scale((300, 1), (5000, 8), (20_000, 10))
order = torch.randperm(len(cifar.train), generator=torch.Generator().manual_seed(0))[:count]
(images, labels), (test, test_labels) = (
    (((part.pixels.float() - 128) / 64).contiguous(memory_format=torch.channels_last), part.labels)
    for part in (cifar.train.subset(order), cifar.test.subset(torch.arange(0, len(cifar.test), 5)))
)
pools = {
    "z = 2": lambda x: F.max_pool2d(x, 2, 2),
    "z = 3": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "blurred": blur_pool,
}
changed = {}
for name, pool in pools.items():
    weights = train(pool, images, labels, epochs)
    still = predicted(test, weights, pool)
    changed[name] = [
        (predicted(test, weights, pool, shift) != still).float().mean().item() for shift in lesson.SHIFTS
    ]
    print(f"{name:8} test error {(still != test_labels).float().mean():.1%}")

# %% [markdown]
# ## 5 · Look
#
# Beside your run stand the recorded ones: the full training set, 10 epochs, and images that move in all four directions. If you wrote down a guess, it is the dotted line.

# %% tags=["nbval-ignore-output"]
show(*lesson.flicker(changed, record, cifar.test, my_percent))

# %% [markdown]
# **One pixel, and the network changes its mind** for one image in eight or so, even when trained on all images. With overlap its predictions *flicker* less, at every shift; blurred, least of all. Part of the reason may be that these networks are right more often, and confident predictions are harder to change. But compare the test errors that your run printed: they differ far less.
#
# Three layers with $s = 2$ follow a shift exactly only if it is a multiple of $2^3 = 8$ pixels. And the classifier has a weight of its own for every place. So no pooling brings this to 0.
#
# **Harder to overfit?** The usual measure, test error minus training error, grows with training in *every* network. A network that learns its training images more slowly has a smaller gap at the same epoch, without being any harder to
# overfit. So compare the test errors where the *training errors* are equal.

# %%
show(*lesson.equally_well_fitted(record))

# %% [markdown]
# The rows are three moments of the training, at two learning rates each; left of the line overlap is ahead. It is ahead all six times, though four seeds are not always enough to be sure. After the rate falls, the network with $z = 2$ fits its training images as well or better, and is still behind on the test images ([both rates, epoch by
# epoch](further/03_two_rates.ipynb)). That is what "harder to overfit" looks like.
#
# **So why does overlap help?** Its predictions flicker less: that is measured. But $z = 3$ also does something else: every later unit *sees more of the image*, because its receptive field is wider. This experiment cannot tell the two apart.
#
# ## 6 · What the 2012 code did
#
# - **Run 147 is the network without overlap.** The paper's sides, 55, 27 and 13, are odd, so with $z = 2$ the first pooling gives 28 in place of 27. To end with maps of the same size the authors took padding away, in conv2 and conv5. So their 0.4 points
#   are overlap *and* about 5% more multiply-adds ([count them](further/03_run_147.ipynb)). They are also one network of each kind, and 200 of 50,000 images.
# - **Pooling comes before ReLU** in conv1 and conv5. For a maximum the order makes no difference, $\max_i f(x_i) = f(\max_i x_i)$ for an $f$ that never falls. For averages it does.
#
# ## 7 · Verdict
#
# In "ours", the first pair has each window at the rate that a short search chose for it. The other two pairs have both at one rate, as in the figures above.

# %%
verdict(
    ["pool-overlap", "pool-overfit"],
    why={
        "pool-overlap": "The gain is larger than the paper's, in a small network that has no other regularization; "
        "the paper's figures are one ImageNet network of each kind.",
        "pool-overfit": "At equal training error the test error is mostly lower with overlap; the plain gap mixes "
        "overfitting with the speed of learning.",
    },
)

# %% [markdown]
# ## 8 · Exercises
#
# Replace `None` and run the cell. `hint("03.1")` helps; solutions are in `notebooks/solutions/`.
#
# **03.1** (10 minutes). How much wider is the receptive field? In the paper's network conv1 has a stride of 4, all later convolutions have 1, and the three poolings have 2. By how many pixels of the *image* is the field of an output of
# the last pooling wider with $z = 3$ than with $z = 2$?

# %%
answer_1 = None
check("03.1", answer_1)

# %% [markdown]
# **03.2** (10 minutes, a bug hunt). A colleague changes `max_pool` into average pooling. With $z = 2$ all is well; with $z = 3$ the network trains slightly worse than PyTorch's. Find the mistake and correct it. (And why would the same mistake do no harm
# in `max_pool`, if a ReLU follows?)
#
# ```python
# def avg_pool(x, z, s):
#     over_h, over_w = ((z - n) % s for n in x.shape[2:])
#     x = F.pad(x, (0, over_w, 0, over_h))
#     return x.unfold(2, z, s).unfold(3, z, s).mean((4, 5))
# ```


# %%
def avg_pool(x, z, s): ...


answer_2 = None  # avg_pool
check("03.2", answer_2)

# %% [markdown]
# **03.3** (15 minutes, on paper). An image of independent noise is pooled with *averages* over $z \times z$, and then once more after it has moved by one pixel to the side. Call the outputs $P$ and $P'$; a single output has the standard deviation $\sigma_P$. How large is
# $\sqrt{E\,(P' - P)^2} \,/\, \sigma_P$? Write it as a function of $z$.


# %%
def change(z): ...


answer_3 = None  # change
check("03.3", answer_3)

# %% [markdown]
# **03.4** (10 minutes). When is the comparison fair? Write a function that says whether windows of side $z$ and of side $z + 1$ give outputs of the same size, rounded up as in 2012, for *any* $s$. (At least one window of side $z + 1$ fits.)


# %%
def same_size(n, z, s): ...


answer_4 = None  # same_size
check("03.4", answer_4)

# %% [markdown]
# **03.5** (20 minutes, hard). The two averages of `blur_pool` are together *one* convolution with stride 2. Give its 3×3 kernel. Then feed it a chessboard of $+1$ and $-1$. What comes out, and why is that just what you want before thinning out?

# %%
answer_5 = None  # a tensor (3, 3)
check("03.5", answer_5)

# %% [markdown]
# **Change it and run again.** Leave the first of the two averages out of `blur_pool`, and pad with `(0, 1, 0, 1)`; or put in two more, and pad with `(2, 2, 2, 2)`. Where does the flicker go, and where the test error?
#
# **To discuss.** A colleague shows you a network whose predictions change for 0% of the images, at every shift. Its loss is 2.303. Do you congratulate them? And which experiment would tell overlap from a wider field?
#
# **Go deeper:** [One map, one pixel](further/03_one_shifted_map.ipynb) (after 03.3) · [Run 147](further/03_run_147.ipynb) · [Two rates, epoch by epoch](further/03_two_rates.ipynb). **Repeat the record:** `alexnet-edu experiment pooling`. **Next:**
# [04](04_color_pca_and_crops.ipynb), colour PCA and crops: more images out of the same ones.
