# %% [markdown]
# # 13 · The ledger: how much of the paper holds, and how sure can we be?
#
# **The claims.** All of them: 43 statements, from the abstract to the last section. Where something was counted or measured and a rule applies,
# the verdict follows from it. Nobody types a verdict.

# %%
import torch
import torch.nn.functional as F
from torch import nn

from alexnet_edu.lessons import ledger as lesson
from alexnet_edu.model.layers import CeilConv2d, Dropout, local_response_norm
from alexnet_edu.notebook import at_scale, check, hint, load_cifar10, show
from alexnet_edu.studies.ablations import small_alexnet
from alexnet_edu.studies.run import build
from alexnet_edu.training.sgd import PaperSGD

show(*lesson.scoreboard())

# %% [markdown]
# *Partly* is also the most that a small version can show of a claim about ImageNet. `alexnet-edu claims relu-6x` prints everything about one
# claim: what the paper says, what the authors wrote down in 2012, what was measured here, and by which rule it was judged.
#
# **Know first:** what a standard error is. **Time:** 45 minutes, of which one of computing, and 40 minutes of exercises.
#
# ## 1 · Predict
#
# Train the same network five times; only the seed differs. **How many points of test error lie between two such networks, typically?** Keep
# in mind that the paper publishes gains of 0.4 points (overlapping pooling) and 1.4 points (normalization), each from one network against one
# other.

# %%
my_points = None  # for example 0.1

# %% [markdown]
# ## 2 · Derive
#
# Two networks judge the same $n$ images. Image $i$ counts $x_i = +1$ if only the first is wrong, $-1$ if only the second is, and $0$ if they
# agree. The difference of the two error rates is the mean of the $x_i$. With $d$ for the share of images on which exactly one is wrong, and
# $\delta$ for the difference,
#
# $$\operatorname{Var}(x) = E[x^2] - E[x]^2 = d - \delta^2, \qquad \text{standard error} = \sqrt{\frac{d - \delta^2}{n}} \approx \sqrt{\frac{d}{n}} .$$
#
# Images that both get right, or both get wrong, say nothing. The more mistakes two networks share, the smaller a difference can be told from luck.


# %%
def standard_error(wrong, other):
    """wrong, other: (n,) bool, whether each of two networks is wrong about each image."""
    d = (wrong ^ other).double().mean()
    delta = wrong.double().mean() - other.double().mean()
    return ((d - delta**2) / len(wrong)).sqrt()


# %% [markdown]
# ## 3 · Bridge
#
# The same by brute force: draw the images again and again, with replacement, and see how much the difference moves (the bootstrap).

# %%
wrong, other = lesson.two_classifiers(2000, seed=0)
random = torch.Generator().manual_seed(0)
drawn = torch.randint(2000, (10_000, 2000), generator=random)
moved = (wrong[drawn].float().mean(1) - other[drawn].float().mean(1)).std().item()
formula = standard_error(wrong, other).item()
print("agrees with the bootstrap to 5%:", abs(moved / formula - 1) < 0.05)
print("agrees with the package:         ", abs(lesson.standard_error(wrong, other) / formula - 1) < 1e-4)

# %% tags=["nbval-ignore-output"]
lesson.gain_explorer(frames={"images": (1_000, 150_000)})

# %% [markdown]
# **Move *Images*.** How many does it take until a gain of 0.4 points is safe from the choice of images?
#
# ## 4 · Run
#
# That is the luck of the *images*. There is also the luck of the *seed*: initial weights, and the order of the images.


# %%
def train(seed, images, labels, epochs, rate=0.005):
    net, random = build(small_alexnet(), 24, 10, seed), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=random).split(50):
            optimizer.zero_grad()
            F.cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
    return net.eval()


# %% tags=["nbval-ignore-output"]
cifar = load_cifar10()
count, epochs, seeds = at_scale((300, 1, 3), (4000, 8, 5), (20_000, 20, 10))
order = torch.randperm(len(cifar.train), generator=torch.Generator().manual_seed(0))[:count]
(x, y), (x_test, y_test) = (
    ((part.pixels[:, :, 4:28, 4:28].float() - 128) / 64, part.labels)
    for part in (cifar.train.subset(order), cifar.test.subset(torch.arange(0, len(cifar.test), 5)))
)
nets = [train(seed, x, y, epochs) for seed in range(seeds)]
with torch.no_grad():
    wrong = torch.stack([net(x_test).argmax(1) != y_test for net in nets])  # (seeds, n)
show(*lesson.luck(wrong, cifar.train, my_points))

# %% [markdown]
# A gain of 0.4 points between two of these networks would be lost in the luck of the seed. On 50,000 images the luck of the images is far smaller.
# How large the luck of the seed is on ImageNet cannot be told from the paper: each of its gains rests on two trainings, and the notes have no
# second run of either.
#
# ## 5 · Look
#
# What can be compared, on one axis: the gain as published, the same difference in the log, and the small version on CIFAR-10 with its interval.

# %%
show(*lesson.gains())

# %% [markdown]
# Paper and log agree to within rounding. The small versions need not agree in size: the networks have 90 to 700 times fewer parameters, the images are
# $32 \times 32$, there are ten classes. What they can show is the sign, and which differences are large compared with luck. (Two marks: two groups of
# networks, or two problems. The gain by pre-training does not count the epochs that the pre-training took.)
#
# ## 6 · What the 2012 code did
#
# Three readings of the same words. The columns for the code and for PyTorch are computed:

# %%
image, hundreds, ones = torch.zeros(1, 3, 224, 224), torch.full((1, 9, 1, 1), 100.0), torch.ones(99)


def second_step(rule):
    """How far it goes when ε has fallen to a tenth and the gradient is 0; the first went 1."""
    w = torch.zeros(1, requires_grad=True)
    sgd = rule([w], lr=1.0, momentum=0.9)
    w.grad = torch.ones(1)
    sgd.step()
    sgd.param_groups[0]["lr"], w.grad, before = 0.1, torch.zeros(1), w.item()
    sgd.step()
    return before - w.item()


lesson.readings(
    {
        "side of conv1": (
            55,
            CeilConv2d(3, 96, 11, 4)(image).shape[-1],
            nn.Conv2d(3, 96, 11, 4)(image).shape[-1],
        ),
        "100 among hundreds, normalized": (
            local_response_norm(hundreds)[0, 4].item(),
            local_response_norm(hundreds, convention="code")[0, 4].item(),
            F.local_response_norm(hundreds, 5, alpha=1e-4, beta=0.75, k=2.0)[0, 4].item(),
        ),
        "crops of an image": (2 * 32 * 32, 2 * 33 * 33, 2 * (256 - 224 + 1) ** 2),
        "largest of many 1s after dropout": (1, Dropout(0.5)(ones).max(), nn.Dropout(0.5)(ones).max()),
        "second step, at a tenth of ε": (0.9, second_step(PaperSGD), second_step(torch.optim.SGD)),
    }
)

# %% [markdown]
# The second row: whoever copies n = 5, α = 10⁻⁴, k = 2 into PyTorch gets what the authors *ran*, not what they *printed*. Both divide α by n. (Lesson
# [02](02_local_response_norm.ipynb) has the rest.)
#
# **And afterwards?** The notes begin in June 2012 and end in March 2013. The runs are numbered in the order in which they were set up.

# %%
show(*lesson.later_runs())

# %% [markdown]
# - **Tried and given up:** three hidden layers (they overfit, or underfit when all have dropout); an exchange at conv4 in place of conv3 (worse).
# - **Better than the 40.7% of Table 2, and not in the paper:** the network itself, its rate raised again and trained on; a rate that falls by
#   another timetable (169–171, 174); with such a timetable, no normalization in conv2 (167), or 5% of the groups of crops mixed with another (170). Most of
#   these differ from 145 in more than one thing.
#
# ## 7 · Verdict
#
# The three findings that surprise most: the factor of six in Figure 1 is mostly the scale of the inputs ([01](01_relu_vs_tanh.ipynb)); "one GPU learns colour, the
# other does not" is a tendency and not a law ([07](07_kernels.ipynb)); and for the features of a network, random planes make codes as good as a trained
# auto-encoder's, from 64 bits on ([08](08_neighbours.ipynb)).
#
# ## 8 · Exercises
#
# Replace `None` and run the cell. `hint("13.1")` helps; solutions are in `notebooks/solutions/`.
#
# **13.1** (5 minutes). Overlapping pooling gains 0.394 points, says the log: 0.410580 against 0.406640 on 50,000 validation images. How many images is that?

# %%
answer_1 = None
check("13.1", answer_1)

# %% [markdown]
# **13.2** (10 minutes). For which share $d$ of images on which exactly one of the two is wrong does that gain lie 1.96 standard errors from 0? (So: if the networks of
# 2012 disagreed more than that, the images alone might explain it.)

# %%
answer_2 = None
check("13.2", answer_2)

# %% [markdown]
# **13.3** (10 minutes). Write the ledger's rule for "A has a lower error than B", given the interval of the difference A − B: 1 where it holds (all of the interval says
# so), 0.5 where the mean alone says so, 0 otherwise.


# %%
def rule(mean, low, high): ...


answer_3 = None  # rule
check("13.3", answer_3)

# %% [markdown]
# **13.4** (15 minutes, hard). The same gain shall be shown with networks instead of images. Train both variants $m$ times, no seed twice; the difference of one pair
# has the standard deviation $s$ points. How many pairs does it take until a true gain of $g$ points is 1.96 standard errors? Write it as a function.


# %%
def pairs_needed(s, g): ...


answer_4 = None  # pairs_needed
check("13.4", answer_4)

# %% [markdown]
# **To discuss.** Twelve of the 43 claims are about ImageNet. `alexnet-edu claims table2-1` says what it takes to fill one in. Which one would you buy first, and what
# would you do if it came out at 42%?
#
# **Repeat the records:** `alexnet-edu experiment --all`.
