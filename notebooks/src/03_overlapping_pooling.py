# %% [markdown]
# # 03 · Overlapping pooling: what does one more row in each window buy?
#
# **The claims** (§3.4). A pooling layer summarizes a $z \times z$ window of each map, and the windows stand $s$ pixels
# apart. With $s = z$ they tile the map. With $s < z$ they overlap. The network uses $s = 2$ and $z = 3$ throughout.
# Against $s = 2$, $z = 2$, with outputs of the same size, this lowers the top-1 error by 0.4 points and the top-5
# error by 0.3. And in passing: the authors find models with overlapping pooling slightly harder to overfit.
#
# **What to know first.** What a convolution is, and the difference between training error and test error.
#
# **What you will have at the end.** The rule for the sizes, and where it bites; what overlap does to a shifted image;
# and both claims put to the test on CIFAR-10, with four seeds for each window.
#
# | scale | what runs in this notebook | time |
# |---|---|---|
# | `quick` | both networks on 600 images of the synthetic stand-in, two epochs (this is what tests use) | seconds |
# | `laptop` | both networks live on real CIFAR-10, 4 epochs | about 2 minutes on two cores |
# | `gpu`, `paper` | both networks, 10 epochs | about 5 minutes on two cores |
#
# The scale is one word, `ALEXNET_EDU_SCALE`. The full experiment (four seeds for each window, at each of two learning rates)
# was recorded earlier. It stands beside your own run, and it is always labelled *recorded*.

# %%
import math

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.ticker import MaxNLocator, PercentFormatter

from alexnet_edu import paper
from alexnet_edu.data.cifar10 import figure_note, load_cifar10, runs_dir
from alexnet_edu.data.images import ImageSet
from alexnet_edu.environment import current_scale
from alexnet_edu.exercises.check import check, hint
from alexnet_edu.ledger.claims import log_gain
from alexnet_edu.ledger.table import verdict
from alexnet_edu.lessons import pooling
from alexnet_edu.model.architecture import output_side
from alexnet_edu.studies import ablations as studies
from alexnet_edu.studies import study
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.record import load, spread, table_by_rate
from alexnet_edu.studies.run import build

record = load("pooling")
images = load_cifar10()

# %% [markdown]
# ## 1 · Predict
#
# Two networks are alike to the last weight. One pools with $z = 2$, the other with $z = 3$, both with $s = 2$, and both
# are trained alike. **How many points of test error does $z = 3$ save on CIFAR-10?** And a second question: you move
# a test image by *one pixel*. **For what share of the images does the trained network with $z = 2$ change its mind?**
#
# Write your numbers down before you read on. They come back at the end.

# %%
my_points_saved = None  # for example 0.5; negative if you think that overlap hurts
my_percent_changed = None  # for example 3

# %% [markdown]
# ## 2 · Derive
#
# First naively: one output after the other. The slice stops at the edge by itself, so a window that hangs over the edge
# takes the maximum of what it holds.


# %%
def max_pool_naive(x, z, s):
    """x: (n, n) -> (m, m)."""
    m = 1 + math.ceil((len(x) - z) / s)
    y = torch.empty(m, m)
    for i in range(m):
        for j in range(m):
            y[i, j] = x[s * i : s * i + z, s * j : s * j + z].max()
    return y


# %% [markdown]
# Then for whole batches. `unfold` gives a view of all windows along one dimension, without copying. The edge is filled
# up with $-\infty$, which is no maximum of anything.


# %%
def max_pool(x, z, s):
    """x: (N, C, H, W) -> (N, C, h, w)."""
    over_h, over_w = ((z - n) % s for n in x.shape[2:])  # by how much the last window hangs over
    x = F.pad(x, (0, over_w, 0, over_h), value=-math.inf)
    return x.unfold(2, z, s).unfold(3, z, s).amax((4, 5))  # the windows: (N, C, h, w, z, z)


x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
for z in (2, 3):
    assert torch.equal(max_pool_naive(x[1, 2], z, 2), max_pool(x, z, 2)[1, 2])

# %% [markdown]
# **Who is seen how often?** Every window adds one to each input that it sees.


# %%
def windows_seeing(n, z, s):
    seen = torch.zeros(n, n, dtype=torch.int64)
    for i in range(1 + math.ceil((n - z) / s)):
        for j in range(1 + math.ceil((n - z) / s)):
            seen[s * i : s * i + z, s * j : s * j + z] += 1
    return seen


for z in (2, 3):
    print(f"z = {z}, s = 2, on 7 × 7 inputs:", *windows_seeing(7, z, 2).tolist(), sep="\n    ")
for n in (8, 32, 128):
    print(f"n = {n}: with z = 3 an input is seen by {windows_seeing(n, 3, 2).double().mean():.3f} windows")

# %% [markdown]
# Without overlap each input has one say. With $z = 3$ and $s = 2$ every second row and column belongs to two windows,
# and where both meet an input is seen by four. The windows hold $z^2$ inputs each and there is one for every $s^2$
# inputs, so away from the edge the average is
#
# $$\frac{z^2}{s^2} = \frac{9}{4}.$$
#
# **Which sizes come out?** The last window need not fit. The authors' code rounds up, and the window hangs over the
# edge (`layer.py`, line 1164). PyTorch rounds down unless told otherwise, and the last inputs are seen by no window:
#
# $$m = 1 + \left\lceil \frac{n - z}{s} \right\rceil \quad (2012), \qquad\qquad
# m = 1 + \left\lfloor \frac{n - z}{s} \right\rfloor \quad (\text{PyTorch's default}).$$
#
# §3.4 compares $z = 2$ and $z = 3$ at equal output size. For $s = 2$:
#
# | | $z = 2$ | $z = 3$ | equal for |
# |---|---|---|---|
# | rounded up | $\lceil n/2 \rceil$ | $\lceil (n-1)/2 \rceil$ | even $n$ |
# | rounded down | $\lfloor n/2 \rfloor$ | $\lfloor (n-1)/2 \rfloor$ | odd $n$ |

# %%
rows = {"rounded up (2012)": {}, "rounded down": {}}
for n in range(2, 61):
    for rule, whole in (("rounded up (2012)", math.ceil), ("rounded down", math.floor)):
        plain, overlapping = (1 + whole((n - z) / 2) for z in (2, 3))
        rows[rule][n] = plain == overlapping
        assert plain == overlapping + (0 if rows[rule][n] else 1)
assert all(same == (n % 2 == 0) for n, same in rows["rounded up (2012)"].items())
assert all(same == (n % 2 == 1) for n, same in rows["rounded down"].items())
figure, ax = plt.subplots(figsize=(11, 2.6))
marked = {55: "conv1", 27: "conv2", 13: "conv5", 32: "CIFAR-10", 16: "", 8: ""}
pooling.draw_same_size(ax, rows, marked)
figure.suptitle("Dark: z = 2 and z = 3 (s = 2) give the same size. White: z = 2 gives one more.", y=1.02)
plt.show()
print("side n    up: z = 2  z = 3    down: z = 2  z = 3")
for n in (55, 27, 13, 32, 16, 8):
    sides = [1 + whole((n - z) / 2) for whole in (math.ceil, math.floor) for z in (2, 3)]
    print("{:6}{:13}{:7}{:15}{:7}".format(n, *sides))

# %% [markdown]
# **How to read it.** The network's sides 55, 27 and 13 are odd. Rounded down, both windows give 27, 13 and 6. Rounded
# up, as the authors do, $z = 2$ gives one row and one column more each time: 28, 14 and 7. So with their own code the
# comparison at equal output size does not come for free. Section 6 shows what they did about it. On CIFAR-10 the
# sides are 32, 16 and 8, and here rounding up gives both windows the same sizes: 16, 8 and 4.
#
# ## 3 · Bridge
#
# These lines are PyTorch's pooling layers and the package's. From here on the package is used.

# %%
for n in (7, 8, 13, 27):
    x = torch.randn(2, 3, n, n, generator=torch.Generator().manual_seed(n))
    for z in (2, 3):
        assert torch.equal(max_pool(x, z, 2), F.max_pool2d(x, z, stride=2, ceil_mode=True))
        assert torch.equal(max_pool(x, z, 2), pooling.pool(x, z, 2))
        assert max_pool(x, z, 2).shape[-1] == output_side(n, z, 2) == pooling.output_side(n, z, 2)
        assert torch.equal(windows_seeing(n, z, 2), pooling.coverage(n, z, 2))
        fits = n - (n - z) % 2  # rounded down is the same as cutting off what no window reaches
        assert torch.equal(max_pool(x[..., :fits, :fits], z, 2), F.max_pool2d(x, z, stride=2))
sizes = {
    z: sum(p.numel() for p in build(v.network, 32, 10, 0).parameters())
    for z, v in zip((2, 3), studies.STUDIES["pooling"].variants, strict=True)
}
print(f"equal, rounded up and down; the networks have {sizes[2]:,} and {sizes[3]:,} parameters")

# %% [markdown]
# ## 4 · Run
#
# The network is that of notebook 01, the four layers of the authors' CIFAR-10 files, but with maximum pooling
# everywhere, as in the ImageNet network. There is no regularization and no augmentation. Inputs are raw pixels minus
# the mean image.
#
# **Which learning rate?** For each window rates on the grid 1, 2, 5, 10 … were tried, three epochs each, on training images
# that were held out, until the best had a worse one above and below. The two windows chose different rates. So each was also
# trained at the other's: otherwise nobody could say whether the window made the difference, or the rate.

# %%
for name in ("z2", "z3"):
    searches = record.tables["searches"]
    pairs = searches[searches["variant"] == name][["rate", "held_out_error"]].to_numpy()
    tried = ", ".join(f"{rate:g}: {error:.1%}" for rate, error in pairs)
    title = record.of(variant=name).runs["title"].iloc[0]
    print(f"{title:27} chose ε = {record.rate(name):g}; held-out error by ε: {tried}")

# %% [markdown]
# **Your own run**: one seed for each window, a seed that the record does not have, both at the smaller of the two rates.

# %% tags=["nbval-ignore-output"]
scale = current_scale()
train, test, epochs, changes = images.train, images.test, {"quick": 2, "laptop": 4}.get(scale, 10), {}
if scale == "quick":
    train, test, changes = train.subset(torch.arange(600)), test.subset(torch.arange(200)), {"batch_size": 50}
keep = None if scale == "quick" else runs_dir() / "ablations"
rate = min(record.shared_rates())
device = "cuda" if scale in ("gpu", "paper") and torch.cuda.is_available() else "cpu"
runs = Runs(ImageSet(train, test), keep, device)
live = study.live(studies.STUDIES["pooling"], {"z2": rate, "z3": rate}, runs, epochs, **changes)
for name, run in live.items():
    errors = {what: run.column(what)[-1] for what in ("train_error", "test_error")}
    assert all(0 <= error <= 1 for error in errors.values())
    print(f"{name}, ε = {rate:g}, {epochs} epochs: test error {errors['test_error']:.1%},", end=" ")
    moved = f"; one pixel changes {run.ends['shifted']['1']:.1%} of the predictions" if run.ends else ""
    print(f"training error {errors['train_error']:.1%}{moved}{' (synthetic images)' * train.synthetic}")

# %% [markdown]
# One seed says little: two runs that differ in nothing but the seed differ, too. **The recorded runs**: four
# fresh seeds for each window and rate, none of them the seed that chose the rate.

# %%
by_rate = {rate: record.at_rate(rate) for rate in record.shared_rates()}
figure, axes = plt.subplots(3, len(by_rate), figsize=(13, 6.6), sharey=True, sharex="row", squeeze=False)
for column, (rate, same) in zip(axes.T, by_rate.items(), strict=True):
    for ax, what in zip(column, ("test_error", "train_error", "gap"), strict=True):
        pooling.plots.last_errors(ax, same.runs, what)
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
        ax.xaxis.set_major_locator(MaxNLocator(6))
    column[0].set_title(f"both at ε = {rate:g}")
figure.suptitle("After the last epoch: a mark for each seed, a bar at the mean (recorded, real CIFAR-10)")
plt.tight_layout()
plt.show()
print(record.origin())
print()
print(table_by_rate(record, "z2"))
print("* the rate that the search chose")

# %%
for rate, same in by_rate.items():
    print(f"z = 3 minus z = 2 in points, both at ε = {rate:g}, with 95% intervals:")
    for what in ("test_error", "train_error", "gap"):
        print(f"    {pooling.WORDS[what]:28} {same.gap('z3', 'z2', what).signed}")
print(f"each at the rate that its search chose: test error {record.gap('z3', 'z2').signed}")

# %% [markdown]
# **How to read it.** The interval knows how seeds differ, and nothing else. Where it holds 0, four seeds each cannot
# tell the two windows apart. In the table ± is the standard deviation over the seeds. The paper's 0.4 points stand for the
# ImageNet network with its 1,000 classes, and for one network of each kind: about 200 of the 50,000 validation images of
# 2012. On the 10,000 test images of CIFAR-10 0.4 points would be 40 images.
#
# **What came out.** At both rates the test error with overlap is one to three points lower, and the interval lies far
# from 0. That is several times the paper's 0.4. Why, this experiment does not say. One candidate: the ImageNet network has
# other protection against overfitting (dropout, augmentation, weight decay), the small one has none. The training error is not lower with overlap. So the gain is not better fitting, it is better generalizing.
#
# **What the search got wrong.** It looked at three epochs of one seed, and for $z = 2$ it took the larger rate, by a
# hair. After all ten epochs the smaller rate is the better one for $z = 2$ as well. The last line above, each window at the
# rate of its own search, therefore makes overlap look better than it is.

# %%
for same in by_rate.values():
    assert -3 < same.gap("z3", "z2").value < -1
    assert same.gap("z3", "z2").high < -0.4
    assert same.gap("z3", "z2", "train_error").high > 0
low, high = by_rate
assert sum(by_rate[low].values("z2")) < sum(by_rate[high].values("z2"))
assert record.gap("z3", "z2").value < min(same.gap("z3", "z2").value for same in by_rate.values())

# %% [markdown]
# ## 5 · Look
#
# **The windows.** Move the sliders. The shade of an input says how many windows see it. The thick frame is the window
# of the marked output; what lies outside of the black border is nothing, and the window takes what it holds. Then
# answer: with $s = 2$, at which sides $n$ does rounding up or down make no difference for $z = 3$? What happens for
# $z < s$? And how large must $z$ be before *every* input (but for the edge) is seen by four windows?

# %% tags=["nbval-ignore-output"]
pooling.pooling_explorer()

# %% [markdown]
# **A shifted image.** A stride of 2 makes the map depend on where the image lies. Move the image by 2 pixels, and the
# pooled map moves by 1. Move it by 1 pixel, and there is no such rule: every window holds other pixels than before. How
# many? Of the $z$ columns of a window $z - 1$ stay: half of them with $z = 2$, two thirds with $z = 3$. For averages
# over independent noise of variance $\sigma^2$ the change follows. $P(x)$ has the variance $\sigma^2/z^2$, the two maps
# are correlated with $\rho = (z-1)/z$, and so
#
# $$\frac{\lVert P(x_{\text{shifted}}) - P(x) \rVert}{\lVert P(x) - \overline{P(x)} \rVert} \approx \sqrt{2(1 - \rho)} =
# \sqrt{2/z}: \qquad 1 \text{ for } z = 2, \quad 0.82 \text{ for } z = 3.$$
#
# For real images and for maxima there is no such formula, so we measure. Both views are cut from the same image:
# nothing is made up at the edge. $\sqrt 2 \approx 1.41$ is what two unrelated maps would have.

# %% tags=["nbval-ignore-output"]
order = torch.randperm(len(images.test), generator=torch.Generator().manual_seed(0))[:500]
pictures = {
    "noise": torch.randn(500, 3, 32, 32, generator=torch.Generator().manual_seed(1)),
    "images": images.test.subset(order).pixels.float(),
}
figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
changed = {}
for ax, kind in zip(axes, ("max", "avg"), strict=True):
    for what, batch in pictures.items():
        for z in (2, 3):
            changed.setdefault((kind, what), {})[f"z = {z}"] = pooling.shift_change(
                batch, z, kind=kind
            ).tolist()
    word = {"max": "Maximum", "avg": "Average"}[kind]
    pooling.draw_changes(ax, {what: changed[kind, what] for what in pictures}, f"{word} pooling")
axes[1].set_ylabel("")
note = f"\n{figure_note(images)}" if images.synthetic else ""
figure.suptitle(
    f"The pooled map after a shift by one pixel (s = 2, means over 500 images, 95% intervals){note}"
)
plt.tight_layout()
plt.show()
for (kind, what), group in changed.items():
    pairs = list(zip(group["z = 2"], group["z = 3"], strict=True))
    less = sum(b < a for a, b in pairs) / len(pairs)
    print(f"{kind} over {what}: z = 3 changes less than z = 2 for {less:.0%} of the 500")
    assert less > 0.6
    assert sum(group["z = 3"]) < sum(group["z = 2"])
for z in (2, 3):
    values = changed["avg", "noise"][f"z = {z}"]
    assert abs(sum(values) / len(values) - (2 / z) ** 0.5) < 0.02

# %% [markdown]
# **How to read it.** On average the pooled map of $z = 3$ changes less under the same shift, for maxima and for averages,
# on noise and on images. For averages it does so image by image; for maxima on most images, not on all. On noise the
# averages are where the formula puts them. On images all changes are smaller, because neighbouring pixels are alike,
# and less is left for the overlap to save. The bars are often smaller than the marks.
#
# That is one layer without weights. Does it reach the *predictions* of a trained network, which could learn to make up
# for it? For every recorded run, 2,000 test images were moved by 1 to 4 pixels in each of the four directions (what comes in
# repeats the edge), and the changed predictions were counted.

# %%
low, same = next(iter(by_rate.items()))
figure, ax = plt.subplots(figsize=(8, 4.2))
title = f"Trained networks (ε = {low:g}) and shifted test images, a mark for each seed (recorded)"
pooling.draw_shifted(ax, same, title)
plt.tight_layout()
plt.show()
for shift in (1, 2, 3, 4):
    of_z2, of_z3 = (same.values(name, f"shifted_{shift}") for name in ("z2", "z3"))
    shares = spread(of_z2), spread(of_z3)
    print(f"{shift} pixels: the prediction changes for {shares[0]} with z = 2, {shares[1]} with z = 3")
    assert max(of_z3) < min(of_z2)

# %% [markdown]
# **How to read it.** Compare the two lines with the scatter of the seeds around them. Apart from the edges, three pooling
# layers with $s = 2$ follow a shift exactly only if it is a multiple of $2^3 = 8$ pixels: then the last maps move by whole
# places. Even so the prediction may change, for the classifier has a weight of its own for every place.
#
# With overlap the network changes its mind less often at every shift: by one pixel, in about four fifths as many
# cases. The ranges over the seeds do not overlap. Part of it may be that it is right more often, because confident
# predictions are harder to change.
#
# **Harder to overfit?** A network overfits when its training error goes on falling and its test error does not
# follow. The usual measure is the gap between the two. But the gap grows with training in *every* network. A network
# that learns its training images more slowly has a smaller gap at the same epoch, without being any harder to
# overfit. So compare the gaps where the *training errors* are equal.

# %%
(drop,) = record.settings["drops"]
figure, axes = plt.subplots(2, 2, figsize=(12, 8.4))
for ax, what in zip(axes[0], ("train_error", "test_error"), strict=True):
    words = f"{pooling.WORDS[what].capitalize()}, both at ε = {low:g}"
    pooling.plots.learning_curves(ax, by_rate[low].curves, what, words)
for ax, (rate, same) in zip(axes[1], by_rate.items(), strict=True):
    pooling.draw_gap_against_training(ax, same, drop, f"The gap, both at ε = {rate:g}")
figure.suptitle(f"ε / 10 after epoch {drop:g}, all seeds (recorded, real CIFAR-10)")
plt.tight_layout()
plt.show()

# %% [markdown]
# **How to read it.** Above: the mean over the seeds, and in the band around it all of them. Below: time runs from right
# to left. An open mark is the last epoch before the rate falls, a filled one the end. Compare the two networks at the
# *same place on the horizontal axis*. If $z = 3$ is harder to overfit, its lines lie below.

# %%
at_equal = {}
for rate, same in by_rate.items():
    before = pooling.up_to(same, drop)
    deepest = pooling.lowest_common_level(before)
    highest = before.curves.groupby("run")["train_error"].first().min()
    print(f"both at ε = {rate:g}, before it falls: test errors where the training errors are equal")
    for share in (0.5, 0.25, 0.0):
        level = deepest + share * (highest - deepest)
        at_level = pooling.cut_at(before, level)
        at_equal[rate, share] = at_level.gap("z3", "z2")
        errors = [spread(at_level.values(name)) for name in ("z2", "z3")]
        print(f"    training error {level:.1%}: z = 2 {errors[0]}, z = 3 {errors[1]}", end="; ")
        print(f"z = 3 minus z = 2: {at_equal[rate, share].signed}")
    print("  at the end: ", end="")
    print(
        "; ".join(
            f"{pooling.WORDS[w]} {same.gap('z3', 'z2', w).signed}" for w in ("train_error", "test_error")
        )
    )

# %% [markdown]
# The last of the three levels is the lowest training error that all runs reach before the rate falls. Between two epochs the
# curves are taken to be straight; across the fall of the rate they are not, so nothing is compared there.
#
# **What came out.** Before the rate falls, the test error at equal training error is lower with overlap by one point and a
# bit at the smaller rate, by half a point to a point at the larger one. Two of the six intervals hold 0. The rest of the
# difference comes when the rate falls and all networks close in on their training images. At the smaller rate
# they end with training errors that cannot be told apart, and overlap is two points ahead in test. At the larger rate
# $z = 2$ fits its training images *better* by more than three points, and still it is more than one point behind in test.
# That is what "harder to overfit" would look like.

# %%
assert all(d.value < 0 for d in at_equal.values())
assert sum(d.low < 0 < d.high for d in at_equal.values()) == 2
assert min(d.value for d in at_equal.values()) > -2
first, second = (same.gap("z3", "z2", "train_error") for same in by_rate.values())
assert first.low < 0 < first.high
assert second.low > 2.5

# %% [markdown]
# ## 6 · What the 2012 code did
#
# **Run 147 is the network without overlap.** Its configuration is in the release, beside that of run 145, the network
# of the paper. With $z = 2$ and sizes rounded up the first pooling gives 28, not 27. Left alone, the later maps would
# grow, too. So the authors took padding away: 1 in place of 2 in conv2, none in place of 1 in conv5.


# %%
def sides(z, conv2_padding, conv5_padding):
    """Sides of the maps: conv1, pool1, conv2, pool2 (and conv3, conv4), conv5, pool3."""
    pool1 = pooling.output_side(55, z, 2)
    conv2 = output_side(pool1, 5, 1, conv2_padding)
    pool2 = pooling.output_side(conv2, z, 2)
    conv5 = output_side(pool2, 3, 1, conv5_padding)
    return 55, pool1, conv2, pool2, conv5, pooling.output_side(conv5, z, 2)


runs = {"145": sides(3, 2, 1), "147": sides(2, 1, 0), "z = 2, the padding left alone": sides(2, 2, 1)}
for name, found in runs.items():
    conv_sides = (found[0], found[2], found[3], found[3], found[4])
    work = sum(layer.weights * side**2 for layer, side in zip(paper.LAYERS, conv_sides, strict=False))
    connected = (256 * found[5] ** 2 * 4096, *(layer.weights for layer in paper.LAYERS[6:]))
    total = (work + sum(connected)) / 1e6
    print(
        f"{name:30} 55 → {found[1]} | {found[2]} → {found[3]} | {found[4]} → {found[5]}: {total:.1f}M multiply-adds"
    )
assert runs["145"][3::2] == runs["147"][3::2] == (13, 6)
print(f"145 against 147, validation images of 2012: {log_gain('145', '147')} points lower")

# %% [markdown]
# **How to read it.** The maps that conv3 and the classifier read have the same sizes in both runs: 13 and 6. Those in
# between do not. In run 147 the maps of conv2 are 26×26 in place of 27×27, and those of conv5 11×11 in place of 13×13.
# It has the same number of weights and about 5% fewer multiply-adds. So the 0.4 and 0.3 points hold for overlap
# *together with* a little more convolution and the padding that goes with it. They are one trained network each.
# On CIFAR-10 the sides are even and nothing of the kind is needed: there the comparison is clean.
#
# **Pooling comes before ReLU** in conv1 and conv5 of the release. For maximum pooling the order makes no difference,
# because ReLU is non-decreasing: $\max_i f(x_i) = f(\max_i x_i)$. Both orders, forward and backward:

# %%
x_map = torch.randn(4, 96, 55, 55, generator=torch.Generator().manual_seed(0), requires_grad=True)
orders = {
    "ReLU, then pooling": lambda t: F.max_pool2d(torch.relu(t), 3, 2),
    "pooling, then ReLU": lambda t: torch.relu(F.max_pool2d(t, 3, 2)),
}
outputs = {name: f(x_map) for name, f in orders.items()}
gradients = [torch.autograd.grad(y.square().sum(), x_map)[0] for y in outputs.values()]
assert torch.equal(*outputs.values())
assert torch.equal(*gradients)
average = [torch.relu(F.avg_pool2d(x_map, 3, 2)), F.avg_pool2d(torch.relu(x_map), 3, 2)]
assert not torch.allclose(*average)  # for averages the order matters
print("values that pass ReLU, for one image:")
for layer, side in (("conv1", 55), ("conv5", 13)):
    maps = {"conv1": 96, "conv5": 256}[layer]
    before, after = maps * side**2, maps * pooling.output_side(side, 3, 2) ** 2
    print(f"  {layer}: {before:,} before pooling, {after:,} after it: {before / after:.1f} times fewer")

# %% [markdown]
# **What overlap costs.** No weights, and no multiplications. An output of $z = 3$ needs the largest of 9 values, that is 8
# comparisons, where $z = 2$ needs 3. Counted over the three pooling layers at the paper's sizes, for one image:

# %%
outputs_of = {"pool1": 96 * 27**2, "pool2": 256 * 13**2, "pool3": 256 * 6**2}
multiply_adds = sum(layer.multiply_adds for layer in paper.LAYERS)
for z in (2, 3):
    comparisons = sum((z**2 - 1) * count for count in outputs_of.values())
    print(
        f"z = {z}: {comparisons / 1e6:.2f}M comparisons, {comparisons / multiply_adds:.2%} of the multiply-adds"
    )

# %% [markdown]
# ## 7 · Exercises
#
# Type your answer in place of `None` and run the cell. `hint("03.1")` gives a hint. Solutions are in
# `notebooks/solutions/`.
#
# **03.1** (5 minutes, easy). A map of $112 \times 112$ is pooled with $z = 3$, $s = 2$, by the rule of 2012. How many
# pixels has a side of the output?

# %%
answer_1 = None
check("03.1", answer_1)

# %% [markdown]
# **03.2** (15 minutes, medium). Write maximum pooling with $z = 3$, $s = 2$, rounded down, with the function
# `F.unfold(x, 3, stride=2)`. It makes one column of each place of the window; the column holds that window in every
# channel, one channel after the other: (N, C, H, W) becomes (N, C·9, L) with $L = h \cdot w$. Return (N, C, h, w).


# %%
def max_pool_by_columns(x): ...


answer_2 = None  # max_pool_by_columns
check("03.2", answer_2)

# %% [markdown]
# **03.3** (10 minutes, medium). $z = 5$, $s = 2$, a large map. How many windows see one input, at most?

# %%
answer_3 = None
check("03.3", answer_3)

# %% [markdown]
# **03.4** (10 minutes, medium). Write a function of $n$, $z$ and $s$ ($z \le n$) that says whether
# $1 + \lceil (n - z)/s \rceil$ and $1 + \lfloor (n - z)/s \rfloor$ differ.

# %%
answer_4 = None  # lambda n, z, s: ...
check("03.4", answer_4)

# %% [markdown]
# **03.5** (15 minutes, harder). A maximum over 3×3 can be taken in two steps: pool with $z = 2$, $s = 1$, then with
# $z = 2$, $s = 2$. (Try it.) With *averages* the same two steps are a convolution with stride 2. Give its 3×3 kernel.

# %%
answer_5 = None  # a tensor (3, 3)
check("03.5", answer_5)

# %% [markdown]
# ## 8 · Verdict

# %%
verdict(
    ["pool-overlap", "pool-overfit"],
    why={
        "pool-overlap": "The small version points the same way at either rate, with a larger difference. It is a network "
        "without any other regularization, and here the sizes are equal by themselves. The paper's figures are one "
        "ImageNet network of each kind, and run 147 differs in its padding as well.",
        "pool-overfit": "The small version points the same way: at equal training error the test error is mostly lower "
        "with overlap, and z = 2 gains less in test from fitting better. The plain gap mixes overfitting with the "
        "speed of learning.",
    },
)

# %%
if my_points_saved is not None:
    saved = -by_rate[low].gap("z3", "z2").value
    print(f"points saved: you predicted {my_points_saved:g}, measured {saved:.2f} (recorded)")
if my_percent_changed is not None:
    shares = [100 * share for share in by_rate[low].values("z2", "shifted_1")]
    share = sum(shares) / len(shares)
    print(f"changed by one pixel: you predicted {my_percent_changed:g}%, measured {share:.1f}% (recorded)")

# %% [markdown]
# **To repeat the record**: `alexnet-edu experiment pooling`. It searches both rates, trains all seeds at each, can be killed at
# any moment, goes on when called again, and writes `data/results/pooling.json`.
#
# **Next**: notebook 04, colour PCA, crops and reflections: more images out of the same ones.
