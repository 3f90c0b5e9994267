# %% [markdown]
# # 07 · Kernels: what the first layer sees, and whether two columns divide the work
#
# **The claims** (§6.1, Figure 3). The 96 kernels of the first layer, $11 \times 11 \times 3$ each, become **frequency- and
# orientation-selective** stripes and **coloured blobs**. And the two GPUs specialize: the 48 kernels of one are **largely blind to
# colour**, those of the other are **about colour**. "On every run", the paper says, and whatever the random start.
#
# **What to know first.** What a convolution is. That the network has two columns, one for each GPU, and where they read each
# other (notebook 05).
#
# **What you will have at the end.** Learned kernels of your own to look at, and their growth from noise; three numbers
# for each kernel: frequency, direction, colour; a test of "one column learns colour" that can fail, on more than a hundred networks;
# and for every unit of every layer the images that it answers to most.
#
# | scale | what runs in this notebook | time |
# |---|---|---|
# | `quick` | the network that is shipped for the synthetic stand-in; four tiny networks are trained | under a minute |
# | `laptop` | the network that is shipped for CIFAR-10; four networks are trained on 50,000 images | about 3 minutes on two cores |
# | `gpu`, `paper` | the same, trained longer | about 6 minutes on two cores |
#
# The scale is one word, `ALEXNET_EDU_SCALE`. The trained networks lie in `data/weights`; nothing is downloaded. The study of the
# columns was recorded earlier and is always labelled *recorded*.

# %%
import matplotlib.pyplot as plt
import torch

from alexnet_edu import paper
from alexnet_edu.data.cifar10 import figure_note, load_cifar10
from alexnet_edu.environment import current_scale, results_dir, weights_dir
from alexnet_edu.exercises.check import check, hint
from alexnet_edu.ledger.table import verdict
from alexnet_edu.lessons import kernels as lesson
from alexnet_edu.model.architecture import kernel_net
from alexnet_edu.studies import specialization
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.kernels import (
    colour_share,
    compare_columns,
    excited,
    fields,
    pictures,
    pooled,
    silent,
    tuning,
)
from alexnet_edu.studies.networks import first_kernels, weights_for
from alexnet_edu.studies.record import load as load_record
from alexnet_edu.studies.shipped import kernel_run, seeded

images = load_cifar10()
note = f" ({figure_note(images)})" if images.synthetic else ""
network = weights_for(images)
kernels = network.kernels  # (96, 3, 7, 7)
halves = (slice(0, len(kernels) // 2), slice(len(kernels) // 2, None))  # the two columns
record = load_record("specialization")
trained_kernels = specialization.load_kernels(weights_dir() / specialization.KERNELS_FILE)

# %% [markdown]
# ## 1 · Predict
#
# A network with two columns is trained twenty times, each time from other random weights. Each time we ask: do the first
# kernels of the two columns differ in how much colour they hold, **more than if the same kernels had been dealt to the columns like
# cards**? (With $p < 0.05$, so that chance alone says yes once in twenty.) **In how many of the twenty?** And does it matter
# that the second layer reads only its own column? Say how many of twenty if it reads both.

# %%
my_clear_cases = None  # of 20, columns as in the paper
my_clear_cases_without_columns = None  # of 20, when every layer reads both

# %% [markdown]
# ## 2 · Look first
#
# These are the first kernels of a small two-column network that is shipped with the project: $7 \times 7$ pixels here, since the images have 32 pixels a
# side and not 224. As in Figure 3 the upper 48 belong to one column, the lower 48 to the other. Each kernel is a small
# colour picture: white is a large positive weight, black a large negative one, grey is none.

# %% tags=["nbval-ignore-output"]
print(network.text())
figure, axes = plt.subplots(2, 1, figsize=(11, 4.6))
for ax, part, words in zip(axes, halves, lesson.COLUMN_WORDS, strict=True):
    lesson.draw_sheet(ax, pictures(kernels[part], "each"), words)
figure.suptitle(f"First kernels after training{note}")
plt.tight_layout()
plt.show()

# %% [markdown]
# **How to read it.** Nobody told the network to look for edges. Some kernels are black and white stripes of one direction: they answer
# to an edge there. Some are patches of one colour against another. A few are still the noise that they began as. This is what
# Figure 3 of the paper shows, in small.
#
# **From noise to stripes.** Move the slider through the training, one update of the weights after the other. With "one for all kernels" the
# picture also shows *how much* a kernel has grown; with "each kernel its own" only its shape.

# %% tags=["nbval-ignore-output"]
lesson.training_explorer(network)

# %% [markdown]
# ## 3 · Derive
#
# Looking is not measuring. A kernel $w$ has at each place $(x, y)$ three weights, for red, green and blue. **Colour.** Split the three
# into a part along the grey axis $(1, 1, 1)$ and the rest. The grey part has three times the mean $\bar w = \frac13 \sum_c w_c$. Then
# the share of the energy off the grey axis is
#
# $$C = 1 - \frac{3 \sum_{x,y} \bar w(x,y)^2}{\sum_{c,x,y} w_c(x,y)^2} .$$
#
# $C = 0$: the same kernel in all three channels. $C = 1$: blind to any grey image. Random weights: two of the three axes are
# off the grey one, so $C = 2/3$ on the mean.


# %%
def colour_naive(w):
    """One kernel, w: (3, h, w)."""
    grey = everything = 0.0
    for y in range(w.shape[1]):
        for x in range(w.shape[2]):
            grey += 3 * w[:, y, x].mean() ** 2
            everything += (w[:, y, x] ** 2).sum()
    return 1 - grey / everything


def colour_vectorized(w):
    """All kernels, w: (K, 3, h, w) -> (K,)."""
    return 1 - 3 * w.mean(1).square().sum((1, 2)) / w.square().sum((1, 2, 3))


# %% [markdown]
# **Frequency and direction.** The Fourier transform writes a kernel as a sum of sine waves. We take the strongest: how many
# cycles a pixel it has, and the direction of its stripes. Seven pixels give only seven frequencies a side, so the kernel is first
# padded with zeros to $64 \times 64$: that adds no knowledge, but it lets us find the peak between the points.


# %%
def strongest_wave(w, points=64):
    """One kernel (3, h, w) -> cycles a pixel, direction of the stripes in degrees (0 level, 90 upright)."""
    power = torch.fft.fft2(w, s=(points, points)).abs().square().sum(0)
    peak = int(power.argmax())
    down, right = (torch.fft.fftfreq(points, dtype=torch.float64)[i] for i in divmod(peak, points))
    return torch.hypot(down, right), (90 + torch.rad2deg(torch.atan2(-down, right))) % 180


# %% [markdown]
# **By chance?** Any two heaps of 48 kernels differ a little. So we need to know by how much. Deal the 96 kernels to two
# columns at random, many times, and note $|\bar C_a - \bar C_b|$ of each deal. If the network's own columns are further apart than nearly
# all of these, the columns mean something:
#
# $$p = \frac{1 + \text{number of deals that are at least as far apart}}{1 + \text{number of deals}} .$$


# %%
def deal(values, deals=2000, seed=0):
    """One number a kernel, (K,) -> own difference of the halves, and those of random deals (deals,)."""
    generator, half = torch.Generator().manual_seed(seed), len(values) // 2
    own = (values[:half].mean() - values[half:].mean()).abs()
    shuffled = torch.stack([values[torch.randperm(len(values), generator=generator)] for _ in range(deals)])
    return own, (shuffled[:, :half].mean(1) - shuffled[:, half:].mean(1)).abs()


# %% [markdown]
# ## 4 · Bridge
#
# These lines are the package's functions. And we try them on kernels of which the answer is known.

# %%
some = kernels[::7].double()
assert torch.allclose(torch.stack([colour_naive(w) for w in some]), colour_vectorized(some), rtol=1e-12)
assert torch.allclose(colour_vectorized(some), colour_share(some), rtol=1e-12)
found = tuning(some)
waves = [strongest_wave(w) for w in some]
assert torch.allclose(torch.stack([wave[0] for wave in waves]), found.frequency)
assert torch.allclose(torch.stack([wave[1] for wave in waves]), found.orientation)

rows, columns = torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing="ij")
upright = torch.cos(2 * torch.pi * 0.25 * columns).expand(3, 7, 7)  # stripes 4 pixels apart
red_green = torch.stack([torch.ones(7, 7), -torch.ones(7, 7), torch.zeros(7, 7)])
known = tuning(torch.stack([upright, red_green]))
assert abs(known.frequency[0] - 0.25) < 0.02
assert known.orientation[0] == 90
assert known.colour[0] < 1e-12
assert known.colour[1] == 1
assert known.frequency[1] == 0

share = colour_share(kernels)
own, dealt = deal(share)
by_package = compare_columns(share)
assert abs(own - by_package.difference) < 1e-9
p_by_hand = (1 + (dealt >= own).sum()) / (1 + len(dealt))
assert abs(p_by_hand - by_package.p) < 0.05  # other deals, so nearly the same

# %% [markdown]
# ## 5 · Run
#
# **(1) The kernels of the shipped network as numbers.**

# %% tags=["nbval-ignore-output"]
measured = tuning(kernels)
figure = plt.figure(figsize=(13, 4.6))
left = figure.add_subplot(1, 2, 1, projection="polar")
marks = lesson.draw_tuning(left, measured.frequency, measured.orientation, measured.colour, halves)
left.set_title("distance: cycles a pixel; angle: direction of the stripes", fontsize=10)
left.legend(loc="lower center", bbox_to_anchor=(0.5, -0.02), ncols=2, fontsize=9, frameon=False)
figure.colorbar(marks, ax=left, shrink=0.6, pad=0.1, label="colour share")
right = figure.add_subplot(1, 2, 2)
lesson.draw_colour_counts(right, [measured.colour[part] for part in halves], chance=2 / 3)
right.set_xlabel("colour share of a kernel")
right.set_ylabel("kernels")
figure.suptitle(f"The {len(kernels)} kernels of the shipped network{note}")
plt.tight_layout()
plt.show()
striped = (measured.selectivity > 0.5) & (measured.frequency > 0)
blobs = (measured.colour > 0.5) & (measured.selectivity < 0.5)
print(f"{int(striped.sum())} of {len(kernels)} kernels prefer one direction (selectivity above 0.5);")
print(f"{int(blobs.sum())} are more colour than brightness and prefer none: blobs")
test = compare_columns(measured.colour)
print(f"colour share {test.first:.3f} in the first column, {test.second:.3f} in the second: p = {test.p:.3f}")

# %% [markdown]
# **How to read it.** Each mark is a kernel. Black-and-white stripes (dark marks) lie further out: they see fine detail. Coloured kernels (bright
# marks) lie near the middle: they are smooth. The same holds for Figure 3, and for our eyes, which see colour more coarsely than
# brightness.

# %% tags=["nbval-ignore-output"]
grey, coloured = measured.colour < 0.25, measured.colour > 0.5
if grey.any() and coloured.any():
    fine, coarse = measured.frequency[grey].median(), measured.frequency[coloured].median()
    print(
        f"median frequency: {fine:.3f} cycles a pixel where the colour share is below 0.25 ({int(grey.sum())} kernels),"
    )
    print(f"    {coarse:.3f} where it is above 0.5 ({int(coloured.sum())} kernels)")

# %% [markdown]
# **(2) Your own networks.** Four small networks with 24 kernels in each column, alike but for the seed. One network says nothing about
# "every run"; four say a little.

# %% tags=["nbval-ignore-output"]
scale = current_scale()
table = kernel_net("paper", side=images.train.pixels.shape[-1])
run = kernel_run("mine", table, specialization.RATE, epochs={"quick": 2, "laptop": 2}.get(scale, 6))
runs, mine = Runs(images, None), {}
for seed in (101, 102, 103, 104):
    done = runs.train(seeded(run, seed))
    mine[seed] = first_kernels(done.network)
    test = compare_columns(colour_share(mine[seed]))
    print(
        f"seed {seed}: test error {done.column('test_error')[-1]:.1%}, colour share {test.first:.3f} and {test.second:.3f}, "
        f"p = {test.p:.3f} (your run{note})"
    )
together = pooled([colour_share(own) for own in mine.values()])
print(f"all four: mean difference {together.mean:.3f}, by chance {together.chance:.3f}, p = {together.p:.2g}")
assert 0 < together.p <= 1

# %% [markdown]
# **(3) The recorded study.** The same with many seeds, and under several conditions: connections, kernel size, image size, rate, length of the training.
# Each condition changes one thing against the first.

# %%
print(record.origin())
print()
print(specialization.table(record))
print()
conditions = record.tables["conditions"]
for part in conditions.itertuples():
    print(f"{part.title:<26} {part.differs}")

# %%
rows = []
for part in conditions.itertuples():
    columns = record.rows("columns", variant=part.variant, measure="colour")
    found = specialization.pooled_test(record, part.variant)
    rows.append(
        {
            "title": part.title,
            "differences": list((columns["first"] - columns["second"]).abs()),
            "clear": list(columns["p"] < 0.05),
            "mean": found.mean,
            "low": found.low,
            "high": found.high,
        }
    )
figure, ax = plt.subplots(figsize=(11, 5.4))
lesson.draw_conditions(ax, rows)
ax.set_xlabel("difference of the two columns' mean colour share")
ax.set_title("Does one column learn colour? (recorded)")
plt.tight_layout()
plt.show()

# %% [markdown]
# **How to read it.** *Nothing restricted* tests the test itself: every layer reads both halves of the kernels, so the halves mean nothing. And the
# mean difference lies where chance puts it, and one network of twenty is "clear", as chance alone would have it. *As in the paper*
# the mean lies outside of what chance allows. So **the restricted connections do make the columns part**. But the effect is small, and it does
# **not** come on every run: one network in five shows it by itself. In the others nobody could say which is the coloured column. No
# exchange at all does not make it stronger.
#
# **When does it come?** The last three rows say more. Kernels of $11 \times 11$, the paper's size, change one thing alone: now the columns are twice as far
# apart as by chance, and half of the networks are clear. Larger images, and a larger network that was trained longer, come to twice as
# well. (These rows have few networks, and the last two differ from the first row in more than one thing.) So the larger the kernels and what
# they see, the more there is to share out. On **every** run it came under none of these conditions. The paper's network is far beyond all of them.

# %%
tests = {name: specialization.pooled_test(record, name) for name in conditions["variant"]}
ratio = {name: test.mean / test.chance for name, test in tests.items()}
assert tests["paper"].networks >= 20
assert tests["paper"].mean > tests["paper"].high  # more than chance allows
assert tests["paper"].p < 0.05
assert tests["joint"].low < tests["joint"].mean < tests["joint"].high  # chance
assert tests["paper"].clear < tests["paper"].networks / 2  # not on every run
assert abs(ratio["apart"] - ratio["paper"]) < 0.3
assert min(ratio["kernel-11"], ratio["pixels-64"], ratio["shipped"]) > 1.3 * ratio["paper"]
assert all(test.clear < test.networks for test in tests.values())
for name, test in tests.items():
    print(f"{name:10} {ratio[name]:.2f} times chance, {test.effect:.2f} standard deviations above it")

# %% [markdown]
# **Other measures.** The same test with other numbers for a kernel: the colour share of a column's whole energy, in which strong kernels
# count more; the **hue**, magenta against green as a share of the colour energy (the rest is orange against blue); the frequency. Each cell:
# the difference over that by chance, and $p$. (The paper speaks of colour alone. We thought of hue when we looked at the kernels of the shipped
# network, so in its own row hue is no test; in the others it is.)

# %%
print(specialization.measures_table(record))

# %% [markdown]
# **How to read it.** With the paper's connections the columns part by **hue** as clearly as by colour share: one then holds more orange against blue,
# the other more magenta against green. With no exchange at all it is **frequency** and colour by energy instead, and these are one difference: the
# column with more colour is the coarser one. Where nothing is restricted, nothing is found. So "colour or no colour" may be one of several ways to share
# the work between two columns that see the same image; colour is what the eye notices first. (Three more measures are three more chances to find
# something: a single $p$ of 0.03 among these is no news.)

# %% [markdown]
# **You need not take our word.** The kernels of all these networks are in `data/weights`. The test, made again now from the kernels
# themselves:

# %%
for name in ("paper", "joint", "apart"):
    again = pooled([colour_share(own) for own in trained_kernels[name].values()])
    assert again == specialization.pooled_test(record, name)
    print(f"{name:6} {again.networks} networks: difference {again.mean:.3f}, by chance {again.chance:.3f}")

# %% [markdown]
# **Over the training.** The difference of the columns, divided by what chance gives: 1 is chance. All networks start at 1, since random
# weights have no columns.

# %%
lines = {}
for part in conditions.itertuples():
    if part.variant in ("paper", "joint", "kernel-11", "pixels-64", "shipped"):
        curve = record.rows("pooled", variant=part.variant, measure="colour")
        curve = curve[curve["epoch"] >= 0.5]
        lines[part.title] = (list(curve["epoch"]), list(curve["mean"] / curve["chance"]))
figure, ax = plt.subplots(figsize=(9, 4.4))
lesson.draw_over_training(ax, lines)
ax.set_xlabel("epochs (doubling)")
ax.set_ylabel("difference / difference by chance")
ax.set_title("When the columns part (recorded)")
plt.tight_layout()
plt.show()

# %% [markdown]
# **How to read it.** Where every layer reads both, the curve stays at 1. Where the columns are kept apart they do not begin different: they become so,
# and early, within the first few passes over the images. After that the curves rise slowly or not at all. So more training alone, of these
# networks on these images, would hardly make it "every run".

# %% [markdown]
# ## 6 · Look
#
# **Every network of the study.** Choose a condition and a seed. Left: the two columns. Right: the differences of random deals, and
# the network's own. Look for one where you would say at once which column is the coloured one, and for one where you could
# not.

# %% tags=["nbval-ignore-output"]
lesson.specialization_explorer(record, trained_kernels)

# %% [markdown]
# **Beyond the first layer.** A kernel of the second layer has 48 or more channels; it is no picture. But we can ask which *images* excite a unit most, and
# where. The yellow square is all that the unit can see of the image: its receptive field. From layer to layer it grows.

# %% tags=["nbval-ignore-output"]
for name, field in fields(network).items():
    print(
        f"{name}: one output sees {field.size} × {field.size} pixels, its neighbour {field.jump} further on"
    )
some_test = images.test.subset(
    torch.randperm(len(images.test), generator=torch.Generator().manual_seed(7))[:2000]
)
for layer in network.layers[:-1]:
    found = excited(network, some_test.pixels, layer)
    print(
        f"{layer}: {silent(found)} of {found.strength.shape[1]} units answer to none of {len(some_test):,} images"
    )

# %% tags=["nbval-ignore-output"]
lesson.excitation_explorer(network, some_test)

# %% [markdown]
# **How to read it.** In `conv1` the images have nothing in common but a spot: an edge, a colour. In `conv2` it is a texture or a
# corner. In `fc5` most of the images are often of one class, or of two that share something: the unit has become
# a word for it. (`fc6` has one unit for each class.)
#
# ## 7 · What the 2012 code did
#
# **`shownet.py` draws the kernels in two ways.** 16 in a row, one pixel between them; as they are, or (`--norm-filters`) each with its own mean
# subtracted and divided by its own standard deviation. Then one minimum and one maximum for all. Both, from the same weights:

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(2, 1, figsize=(11, 4.6))
for ax, scale_of, words in zip(axes, ("global", "each"), ("as they are", "--norm-filters"), strict=True):
    lesson.draw_sheet(ax, pictures(kernels[halves[0]], scale_of), words)
figure.suptitle(f"One column, drawn in both ways of shownet.py{note}")
plt.tight_layout()
plt.show()
norms = tuning(kernels).norm
print(f"the strongest kernel is {norms.max() / norms.min():.0f} times as large as the weakest")

# %% [markdown]
# **How to read it.** In the upper picture the few strongest kernels take all the contrast, and a weak kernel looks empty. In the lower one a kernel
# that is hardly more than noise looks as important as any other. A picture of kernels without the word which of the two it is
# says less than it seems to. Which of them Figure 3 is, the source does not record.
#
# **Each column is a layer of its own.** In `layers-145.cfg` there is no group of 96 kernels: `conv1a` and `conv1b` have 48 each, so `shownet.py`
# draws three rows for each. That is why Figure 3 has $3 + 3$ rows. Our network keeps both in one tensor, and `split_columns` cuts it
# (notebook 05). The same cut:

# %%
from alexnet_edu.model.alexnet import AlexNet, split_columns

whole = AlexNet("paper", generator=torch.Generator().manual_seed(0)).state_dict()
first, second = split_columns(whole)
rows_needed = -(-len(first["stages.conv1.weights.weight"]) // 16)
print(
    f"{paper.FIGURE3_KERNELS} kernels: {len(first['stages.conv1.weights.weight'])} a column, {rows_needed} rows each"
)
assert rows_needed == 3
assert first["stages.conv1.weights.weight"].shape == (48, 3, 11, 11)

# %% [markdown]
# **Before run 145 the first layer looked different.** Each column had 32 kernels, and beside them a path for low resolution: the image blurred by
# a $9 \times 9$ Gaussian (standard deviation 4), every fourth pixel kept, $56 \times 56 \times 3$, straight into the second layer. Run 145 dropped that path
# and had 48 kernels instead. A blurred colour image is what coloured blobs see; so it would be no surprise if
# some of the new kernels took over that work. (That is our inference: the notes do not say it.)
#
# **The first layer stopped learning early.** Its rate was lowered before the others', and set to 0 at epoch 72 (notebook 10). And run 126 gave
# GPU 1 a *mirrored* image, so that the columns did not even see the same. It was given up after 19 epochs; the notes blame its data, not this.
#
# **Connections.** Specialization needs columns. In the notes those that read each other less do worse: no exchange at all until the
# classifier (run 150) costs 1.16 / 1.12 points against run 145. Here, in small. (The network in
# which nothing is restricted has a third more weights.)

# %%
for name in ("paper", "joint", "apart"):
    part = record.of(variant=name).runs
    errors = list(part["test_error"])
    print(
        f"{part['title'].iloc[0]:20} test error {sum(errors) / len(errors):.1%} on the mean of {len(errors)} (recorded)"
    )

# %% [markdown]
# ## 8 · Your own networks
#
# The same pictures for the paper's network: name the folder of a training of notebook 06, or `"torchvision"` for a network
# that torchvision downloads. (That one is another architecture: 64 first kernels, one column, no response normalization.)

# %% tags=["nbval-ignore-output"]
my_source = None  # "data/runs/my-training", "torchvision", or the path of a weights file
if my_source is not None:
    from alexnet_edu.studies.networks import network as network_from

    theirs = network_from(my_source)
    figure, ax = plt.subplots(figsize=(11, 4.6))
    lesson.draw_sheet(ax, pictures(theirs.kernels, "each"), theirs.title)
    plt.show()

# %% [markdown]
# ## 9 · Exercises
#
# Type your answer in place of `None` and run the cell. `hint("07.1")` gives a hint. Solutions are in
# `notebooks/solutions/`.
#
# **07.1** (10 minutes, medium). How many pixels a side does one output of `conv3` of the paper's network depend on? (conv1: $11 \times 11$,
# stride 4; pooling $3 \times 3$, stride 2; conv2: $5 \times 5$; pooling again; conv3: $3 \times 3$.)

# %%
answer_1 = None
check("07.1", answer_1)

# %% [markdown]
# **07.2** (10 minutes, easy). Write a function of `w` (K, 3, h, w) that returns the colour share of each kernel, (K,).


# %%
def my_colour(w): ...


answer_2 = None  # my_colour
check("07.2", answer_2)

# %% [markdown]
# **07.3** (15 minutes, medium). Write a function of `w` (h, w), a kernel with one channel, that returns the frequency of its strongest sine
# wave in cycles a pixel, found on $64 \times 64$ points.

# %%
answer_3 = None  # lambda w: ...
check("07.3", answer_3)

# %% [markdown]
# **07.4** (5 minutes, easy). Write a function of `own` (a number) and `null` (n,), differences of random deals, that returns $p$.

# %%
answer_4 = None  # lambda own, null: ...
check("07.4", answer_4)

# %% [markdown]
# **07.5** (10 minutes, medium). Write a function of `w` (K, 3, h, w) that returns it as `--norm-filters` does, (K, 3, h, w) between 0 and
# 1: each kernel with mean 0 and standard deviation 1, then one minimum and one maximum for all.

# %%
answer_5 = None  # lambda w: ...
check("07.5", answer_5)

# %% [markdown]
# ## 10 · Verdict

# %%
verdict(
    ["kernels", "specialization"],
    why={
        "kernels": "The small version agrees: stripes in all directions, coloured blobs, and what is coloured is coarser than what is grey.",
        "specialization": "In small it is a tendency and no rule. Columns that are kept apart differ more than chance makes them, columns that talk do not; but one network in five shows it by itself, half of them with kernels of the paper's size. Images, training and normalization of the paper's size were not tried.",
    },
)

# %%
for words, guess, name in (
    ("columns as in the paper", my_clear_cases, "paper"),
    ("every layer reads both", my_clear_cases_without_columns, "joint"),
):
    if guess is not None:
        found = specialization.pooled_test(record, name)
        print(f"{words}: you predicted {guess} of 20, measured {found.clear} of {found.networks} (recorded)")

# %% [markdown]
# **To repeat the record**: `alexnet-edu experiment specialization`. It can be killed at any moment and goes on when called again; it writes
# `data/results/specialization.json` and `data/weights/specialization.safetensors`. **To train the shipped networks again**:
# `alexnet-edu weights train cifar10`.
#
# **Next**: notebook 08. What the last hidden layer knows: predictions, neighbours, and codes of a few bits.
