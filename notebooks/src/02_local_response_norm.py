# %% [markdown]
# # 02 · Local response normalization: what do neighbouring maps do to each other?
#
# **The claim** (§3.3). *Local response normalization* (LRN) divides each activity, after ReLU, by a number that grows with its neighbours: the
# activities at the same place in the adjacent kernel maps. On ImageNet this lowers the errors by 1.4 points (top-1) and 1.2 points (top-5); on CIFAR-10 it
# takes a four-layer network from 13% test error to 11%.
#
# **The answer.** In a small network it helps a little, in training as much as in testing. And if you copy its constants into a
# network of today, it does something so simple that you can predict it to three digits.

# %%
import torch
import torch.nn.functional as F

from alexnet_edu.lessons import lrn as lesson
from alexnet_edu.model.cifar import CifarNetConfig, FourLayerNet
from alexnet_edu.model.layers import local_response_norm
from alexnet_edu.notebook import at_scale, check, hint, load, load_cifar10, show, verdict

record = load("norms")
show(*lesson.errors(record))

# %% [markdown]
# The four-layer network of lesson 01, trained for eight epochs on raw pixels, without and with LRN
# after the first and the second pooling. Each has its own learning rate, chosen on images that were held out.
#
# **Know first:** what a convolution, ReLU and a gradient are. **Time:** 45 minutes, of which two or three of computing, and 45
# minutes of exercises.
#
# ## 1 · Predict
#
# At one place, $N$ kernel maps have the activities $a^0, \dots, a^{N-1}$. The normalized activity of map
# $i$ is
#
# $$b^i = \frac{a^i}{\Bigl(k + \alpha \sum_{j = \max(0,\, i - n/2)}^{\min(N-1,\, i + n/2)} (a^j)^2\Bigr)^{\beta}},
# \qquad k = 2,\quad n = 5,\quad \alpha = 10^{-4},\quad \beta = 0.75 .$$
#
# In 2012 the pixels were 0–255 minus the mean. Today you would *standardize* them: divide by their standard deviation, so that they are
# about 1 in size. **Put the formula, with its constants, into a network on standardized pixels and train. Of all units that
# are on, take the median: what is its $b/a$?**

# %%
my_ratio = None  # for example 0.9

# %% [markdown]
# ## 2 · Derive
#
# The sum runs over *maps*, never over places. The window of map $i$ holds the map itself and two maps on either side ($n/2$ is rounded
# down). The $\max$ and $\min$ only say that it ends at the first and at the last map: the window of map 0 holds three maps, that of map
# 2 holds five. Naively, then for whole tensors:

# %%
k, n, alpha, beta = 2, 5, 1e-4, 0.75


def lrn_at_one_place(a, i):
    """a: the activities of all maps at one place, i: which map."""
    total = 0.0
    for j in range(max(0, i - n // 2), min(len(a) - 1, i + n // 2) + 1):
        total += a[j] ** 2
    return a[i] / (k + alpha * total) ** beta


def lrn(a):
    """a: (N, C, H, W). Pad the maps by two zeros on either side; the sum is five slices, one map apart."""
    squares = F.pad(a**2, (0, 0, 0, 0, n // 2, n // 2))  # (N, C + 4, H, W)
    total = sum(squares[:, j : j + a.shape[1]] for j in range(n))  # (N, C, H, W)
    return a / (k + alpha * total) ** beta


# %% [markdown]
# What does it do? Take eleven maps at one place. All have the activity 20, except map 5, which has 100.

# %%
show(*lesson.inhibition(lrn))

# %% [markdown]
# On the left, all the weak maps went in equal. Those with the strong map in their window come out smaller. On the right, every
# neighbour's influence is negative, and beyond two maps it is zero.
#
# The paper calls it a form of *lateral inhibition*, after what nerve cells do: an active one holds its neighbours down. (In the eye, it is
# the textbook explanation of the grey spots in the Hermann grid, though not an undisputed one.) There the neighbours are
# *places*; here they are *features* that compete at one place. Which maps are neighbours is arbitrary, and fixed before training begins. What
# they become under this competition is learned.
#
# **Two regimes.** If the five activities of a window have the root mean square $r$, the base of the power is $k + \alpha n r^2$, and
#
# $$\frac{b}{a} = (2 + 5 \cdot 10^{-4}\, r^2)^{-0.75} .$$
#
# For small $r$ nothing but $k$ is left, and $b/a = 2^{-0.75} = 0.595$, whatever the neighbours do. The second term equals $k$ at
# $r = \sqrt{2 / (5 \cdot 10^{-4})} \approx 63$, which happens to be the standard deviation of a raw pixel.
#
# ## 3 · Bridge
#
# The package's function is the same, faster, and keeps only its input for the backward pass. PyTorch divides $\alpha$ by $n$.

# %%
a = 60 * torch.randn(2, 7, 3, 4, generator=torch.Generator().manual_seed(0)).relu()
naive = torch.tensor([lrn_at_one_place(a[1, :, 2, 3].tolist(), i) for i in range(7)])
pytorch = F.local_response_norm(a, n, n * alpha, beta, k)
for other in (naive, local_response_norm(a)[1, :, 2, 3], pytorch[1, :, 2, 3]):
    print(torch.allclose(lrn(a)[1, :, 2, 3], other))

# %% [markdown]
# ## 4 · Run
#
# The network and the training of lesson 01, with a place for a normalization. On raw pixels it gets LRN. On standardized pixels it gets
# LRN once, and once the bare constant: $b = 0.595\, a$. All three start from the same weights and see the same batches. The learning rate on raw
# pixels is the one that the recorded search chose; the other was chosen by hand.


# %%
def four_layers(x, weights, biases, normalize):
    """x: (N, 3, 32, 32) -> (N, 10) logits, and the activities of the first layer before normalization."""
    for layer, pool in enumerate((F.max_pool2d, F.avg_pool2d, F.avg_pool2d)):
        x = F.conv2d(x, weights[layer], biases[layer], padding=2).relu()
        x = pool(x, kernel_size=3, stride=2, ceil_mode=True)  # (N, C, h/2, w/2)
        if layer == 0:
            first = x
        if layer < 2:
            x = normalize(x)
    return x.flatten(1) @ weights[3].T + biases[3], first


def train(normalize, pixels, labels, rate, steps, seed=0):
    """For each batch of 128: its error, and the 1%, 50% and 99% quantiles of b/a in the first layer."""
    net = FourLayerNet(CifarNetConfig(), torch.Generator().manual_seed(seed))
    weights = list(net.to(memory_format=torch.channels_last).parameters())
    velocities = [torch.zeros_like(w) for w in weights]
    random, errors, ratios = torch.Generator().manual_seed(seed), [], []
    for _ in range(steps):
        batch = torch.randint(len(pixels), (128,), generator=random)
        logits, a = four_layers(pixels[batch], weights[0::2], weights[1::2], normalize)
        gradients = torch.autograd.grad(F.cross_entropy(logits, labels[batch]), weights)
        with torch.no_grad():
            for w, v, g in zip(weights, velocities, gradients):
                v.mul_(0.9).sub_(rate * g)
                w.add_(v)
            ratio = (normalize(a[:16]) / a[:16])[a[:16] > 0]
        errors.append((logits.argmax(1) != labels[batch]).float().mean().item())
        ratios.append(ratio.quantile(torch.tensor([0.01, 0.5, 0.99])).tolist())
    return errors, ratios


# %% tags=["nbval-ignore-output"]
images = load_cifar10().train
some = images.subset(torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:20_000])
raw = (some.pixels.float() - some.pixels.float().mean(0)).contiguous(memory_format=torch.channels_last)
standardized, steps = raw / raw.std(), at_scale(10, 300, 2000)
_, on_raw = train(local_response_norm, raw, some.labels, record.rate("lrn"), steps)
with_lrn, on_standardized = train(local_response_norm, standardized, some.labels, 0.05, steps)
with_constant, _ = train(lambda a: k**-beta * a, standardized, some.labels, 0.05, steps)
ratios = {"raw": on_raw, "standardized": on_standardized}
show(*lesson.live(ratios, {"LRN": with_lrn, "× 0.595": with_constant}, images, my_ratio))

# %% [markdown]
# Your guess, if you made one, is the dotted line. On standardized pixels LRN multiplies by 0.595, from the first batch to the last, and you may replace it by
# that number. On raw pixels it begins as the same constant, too. But the activities grow while the network learns, and the strong ones are
# held back more and more.
#
# ## 5 · Look
#
# Why? Here is the formula as a curve (dashed: the $\alpha/n$ of the 2012 code, section 7). On it are a first layer's activities after a hundred steps,
# on raw pixels also before the first.

# %% tags=["nbval-ignore-output"]
responses = lesson.Responses(images)
show(*lesson.by_size(responses))

# %% [markdown]
# The constants belong to the pixels they were made for. So if you copy a layer from a paper, copy the scale of its inputs, or print
# $\alpha \sum a^2 / k$ first.
#
# Now look at single units. **On raw pixels, widen the window from 5 to 15 maps. Which maps notice? How much does the strongest lose?** Then switch to
# standardized inputs, and try to see any of it.

# %% tags=["nbval-ignore-output"]
lesson.lrn_explorer(responses, frames={"n": (5, 15), "source": (("standardized", 100),)})

# %% [markdown]
# (With 15, all maps up to seven away have the strong one in their window. It loses less than those that it newly reaches, because most of its own sum is its own square.)
#
# ## 6 · Does it help the network to generalize?
#
# ReLU does not saturate, so it does not *need* normalization. Why should it help at all? Two answers are possible. As a **regularizer**, it
# would keep the network from fitting its training images too well: test error falls, training error does not. As a help to **learning**, it
# would let the network fit better: both errors fall. Go back to the first figure. Both fall, by about the same amount, and the gap between them stays where
# it was. So what we see is a network that has learned a little more in eight epochs. It is not a network that generalizes better.
#
# How sure is that? Three seeds, and the interval of the test error just reaches 0. A longer training of a larger network may well show something else.
#
# *Batch normalization* (2015) has taken LRN's place. It subtracts the mean of each map over the batch and divides by the standard
# deviation: whatever the scale of the inputs, the scale of the outputs is the same. LRN cannot do that. In the same small network batch
# normalization gains more than LRN ([what the records say](further/02_what_was_recorded.ipynb)), and it is cheaper ([what it costs](further/02_what_it_costs.ipynb)).
#
# ## 7 · What the 2012 code did
#
# - **$\alpha$ is divided by $n$**, as in PyTorch. So the network that was run inhibits much less than the formula in print.
# - **Layer 1 normalizes before ReLU**, layer 2 after it, as in the paper.
# - **Layer 2 has a second normalization**, within each map: over 5×5 *places* (the paper does not mention it). People who ask whether that
#   would not be more natural are in good company.
# - **The window ends at the border of a column**: maps on different GPUs are not neighbours.
# - **The log**: run 148, without any normalization, against run 145 gives the gain in print. But run 167 normalizes layer 1 alone, with
#   another schedule, and is no worse than 145.
#
# ## 8 · Verdict

# %%
verdict(
    ["lrn-gain", "lrn-cifar", "lrn-formula"],
    why={
        "lrn-gain": "The small network gains less, in training and in testing alike, and three seeds hardly show it.",
        "lrn-cifar": "Not the network of the claim: its normalization was another, and 36 epochs are far fewer than the 470 or so of its recipe.",
        "lrn-formula": "On inputs of size 1 the sum is far below k, so all that is left is the factor 2^−0.75 = 0.595.",
    },
)

# %% [markdown]
# ## 9 · Exercises
#
# Replace `None` and run the cell. `hint("02.1")` helps; solutions are in `notebooks/solutions/`.
#
# **02.1** (5 minutes). A map whose neighbours are silent has the activity $a$. As $a$ grows, $b$ grows, and then it falls. At which $a$ is $b$
# largest?

# %%
answer_1 = None
check("02.1", answer_1)

# %% [markdown]
# **02.2** (10 minutes, a bug hunt). A colleague has written LRN, tested it against the package on `torch.randn(2, 8, 6, 6).relu()` with
# `torch.allclose(…, rtol=0.01)`, and the test passes. Find the mistake. Then give a tensor on which the test fails.
#
# ```python
# def lrn(a):
#     squares = F.pad(a**2, (2, 2))
#     total = sum(squares[..., j : j + a.shape[-1]] for j in range(5))
#     return a / (2 + 1e-4 * total) ** 0.75
# ```

# %%
answer_2 = None  # a tensor of shape (N, C, H, W)
check("02.2", answer_2)

# %% [markdown]
# **02.3** (10 minutes, change it and run again). All pixels are divided by 63; weights and biases start as before, the biases at 0. By what factor
# must $\alpha$ be multiplied so that every $b/a$ is what it was on raw pixels, before the first step? Then run section 4's `train` with
# `lambda a: local_response_norm(a, alpha=1e-4 * answer_3)` on `standardized`, at the rate 0.05. Does $b/a$ still stay at 0.595?

# %%
answer_3 = None
check("02.3", answer_3)

# %% [markdown]
# **02.4** (5 minutes). Does it matter that layer 1 of the 2012 code normalizes before ReLU? Find responses $z$ of neighbouring maps at one place for which
# the two orders give different results, by the formula in print.

# %%
answer_4 = None  # a list, for example [1.0, 2.0]
check("02.4", answer_4)

# %% [markdown]
# **02.5** (15 minutes, hard). The backward pass. Let $g^j = \partial L / \partial b^j$ arrive. An activity $a^i$ stands in its own numerator, and in
# the base of every map whose window holds it. Derive $\partial L / \partial a^i$ in closed form, and write it without autograd.


# %%
def lrn_backward(g, a):
    """g, a: (N, C, H, W) -> ∂L/∂a, in the same shape."""


answer_5 = None  # lrn_backward
check("02.5", answer_5)

# %% [markdown]
# **To discuss.** Someone trains with and without LRN at one learning rate and reports what LRN gains. Two layers of LRN multiply even quiet activities by 0.595 each.
# What have they measured? (The table in section 8 gives the result at two rates.)
#
# **Go deeper:** [Other readings of the formula](further/02_other_readings.ipynb) (over places, within a map, before ReLU, two columns) ·
# [What was recorded](further/02_what_was_recorded.ipynb) (five variants; which rate; 13% to 11%) · [What it costs](further/02_what_it_costs.ipynb).
# **Repeat the record:** `alexnet-edu experiment norms`. **Next:** [03](03_overlapping_pooling.ipynb), pooling windows that overlap.
