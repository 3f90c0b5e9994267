# %% [markdown]
# # 08 · Predictions and neighbours
#
# **The claims** (§6.1, Figure 4). (1) **Left**: the five labels that the network finds most probable for eight test images, and most
# of its mistakes are reasonable ones. (2) **Right**: take the 4096 outputs of the last hidden layer as a vector. Training images whose vectors lie close
# to that of a test image, by **Euclidean distance**, show the same kind of thing, though they are generally **not close in pixels**.
# (3) A proposal that the paper does not try: an **auto-encoder could compress these vectors to short binary codes**, for
# fast search, and better ones than from raw pixels.
#
# **What to know first.** What a hidden layer is, and the Euclidean distance. Notebook 07 looks at the first layer of the same networks.
#
# **What you will have at the end.** Both halves of Figure 4 for a small network, also for a photograph of your own; how many of six
# neighbours have the right class, layer by layer; what the authors' search left out; and the proposal of §6.1, tried.
#
# | scale | what runs in this notebook | time |
# |---|---|---|
# | `quick` | the synthetic stand-in, 2,000 training and 500 test images (this is what tests use) | under a minute |
# | `laptop` | the shipped network on CIFAR-10, all 50,000 training images searched with all 10,000 test images; without CIFAR-10 a stand-in of 10,000 and 2,000 | 2 to 3 minutes on two cores, one on the stand-in |
# | `gpu`, `paper` | the same | the same |
#
# The scale is one word, `ALEXNET_EDU_SCALE`. Five networks, all layers and codes of four lengths were searched earlier: that stands
# beside your own run and is always labelled *recorded*.

# %%
import time
from statistics import fmean

import matplotlib.pyplot as plt
import torch

from alexnet_edu import paper
from alexnet_edu.data.cifar10 import figure_note, load_cifar10
from alexnet_edu.environment import current_scale, results_dir
from alexnet_edu.exercises.check import check, hint
from alexnet_edu.ledger.table import verdict
from alexnet_edu.lessons import neighbours as lesson
from alexnet_edu.show.photograph import photograph
from alexnet_edu.studies import retrieval
from alexnet_edu.studies.codes import CodeSettings, hamming, pack, random_coder, search_codes, train_coder
from alexnet_edu.studies.neighbours import (
    BATCHES_2012,
    KEPT_2012,
    as_vectors,
    centers,
    expected_by_batches,
    nearest,
    nearest_of_batches,
    plane,
    precision_at_k,
    share_found,
    squared_distances,
)
from alexnet_edu.studies.networks import weights_for
from alexnet_edu.studies.record import load as load_record
from alexnet_edu.training.predictions import top_errors

record = load_record("retrieval")
plan = record.settings["plan"]
images = load_cifar10()
network = weights_for(images)
note = f" ({figure_note(images)})" if images.synthetic else ""

# Images of a pack lie in class order. Here they are shuffled: why that matters, section 6 shows.
shuffled = torch.Generator().manual_seed(8)
train = images.train.subset(torch.randperm(len(images.train), generator=shuffled))
test = images.test.subset(torch.randperm(len(images.test), generator=shuffled))

# %% [markdown]
# ## 1 · Predict
#
# A small network errs on about a quarter of CIFAR-10's test images. For each test image we look for the six nearest of 50,000 training
# images. Ten classes, so by chance 10% of the six have the right one. **What share of the six has it by the last hidden layer? And by
# pixels?** Then the hidden layer's 256 numbers are replaced by **32 bits**. **What share is left?**

# %%
my_share_by_features = None  # for example 80, in percent
my_share_by_pixels = None  # for example 50
my_share_by_32_bits = None  # for example 30

# %% [markdown]
# ## 2 · Derive
#
# A query $x$ and a training image $y$, as vectors of $D$ numbers. The distance squared is a sum of $D$ squares. For many queries and many
# images it pays to write it as
#
# $$\lVert x - y \rVert^2 = \lVert x \rVert^2 - 2\, x \cdot y + \lVert y \rVert^2,$$
#
# because then all pairs at once are one matrix product. **Precision at $k$** is the share of the $k$ nearest that has the query's class.


# %%
def distances_naive(x, y):
    """x: (Q, D), y: (N, D) -> ‖x − y‖² of all pairs, (Q, N)."""
    out = torch.zeros(len(x), len(y), dtype=x.dtype)
    for q in range(len(x)):
        for n in range(len(y)):
            out[q, n] = ((x[q] - y[n]) ** 2).sum()
    return out


def distances_vectorized(x, y):
    return (x * x).sum(1)[:, None] - 2 * x @ y.T + (y * y).sum(1)[None]


def precision(distances, query_labels, labels, k):
    best = distances.argsort(1)[:, :k]  # (Q, k)
    return (labels[best] == query_labels[:, None]).float().mean(1)


generator = torch.Generator().manual_seed(0)
x, y = (torch.randn(n, 16, generator=generator, dtype=torch.float64) for n in (8, 50))
x_labels, y_labels = (torch.randint(3, (n,), generator=generator) for n in (8, 50))
assert torch.allclose(distances_naive(x, y), distances_vectorized(x, y), rtol=1e-12)

# %% [markdown]
# **Three things to see before any network.**
#
# 1. **The product loses digits.** float32 has seven. Two grey images that differ by one grey level in one pixel have
#    $\lVert x \rVert^2$ near $10^8$, and the difference that we want is 1. Subtracting what all images share helps, and changes no distance.
# 2. **The root changes nothing.** It grows with its argument, so the order is the same. `findsimilar.py` leaves it out.
# 3. **Precision needs no threshold** but depends on how many images of each class there are. With ten equal classes chance gives 10%.

# %%
grey = torch.full((2, 3072), 200.0)
grey[1, 0] += 1
print(f"one grey level apart: by the product {distances_vectorized(grey[:1], grey[1:]).item():g}, exactly 1")
shifted = grey - grey.mean(0)
assert distances_vectorized(shifted[:1], shifted[1:]).item() == 1  # 1

d = distances_naive(x, y)
assert torch.equal(d.argsort(1), d.sqrt().argsort(1))  # 2

# %% [markdown]
# ## 3 · Bridge
#
# These lines are the package's functions. `nearest` does the same in blocks, so that 10,000 × 50,000 distances need 100 MB and not
# 2 GB, and it subtracts the mean first.

# %%
assert torch.allclose(squared_distances(x, y), distances_vectorized(x, y), rtol=1e-12)
found = nearest(x, y, 6)
assert torch.equal(found.index, d.argsort(1)[:, :6])
assert torch.allclose(found.distance, d.sort(1).values[:, :6])
assert torch.equal(precision_at_k(found.index, x_labels, y_labels), precision(d, x_labels, y_labels, 6))

# %% [markdown]
# ## 4 · Run
#
# **(1) Figure 4, left.** Eight test images and the five most probable labels, drawn as `shownet.py` draws them: $2 \times 4$ images at
# random, the true label in a reddish tint, the others in blue. A tick marks it as well.

# %% tags=["nbval-ignore-output"]
print(network.text())

# %% tags=["nbval-ignore-output"]
count, labels = paper.FIGURE4_TEST_IMAGES, paper.FIGURE4_LABELS


def top5_panel(pixels, truths):
    """Figure 4, left, for images (N, 3, H, W) uint8; truths: their classes' names, None where unknown."""
    columns = min(4, len(pixels))
    rows = -(-len(pixels) // columns)
    figure, axes = plt.subplots(
        2 * rows,
        columns,
        figsize=(3.1 * columns, 3.9 * rows),
        height_ratios=[1.25, 1] * rows,
        squeeze=False,
    )
    best = network.probabilities(pixels).topk(labels)
    for i, true in enumerate(truths):
        above, below = (axes[2 * (i // columns) + part, i % columns] for part in (0, 1))
        lesson.draw_image(above, pixels[i], true or "")
        names = [network.classes[c] for c in best.indices[i]]
        lesson.draw_bars(below, names, best.values[i].tolist(), true)
    figure.suptitle(f"Five most probable labels, the true one marked ✓{note}")
    figure.tight_layout()
    plt.show()
    return best


best = top5_panel(test.pixels[:count], [test.classes[i] for i in test.labels[:count]])
assert best.values.shape == (count, labels)
assert (best.values.diff(dim=1) <= 0).all()
assert (lesson.TRUE_COLOR, lesson.OTHER_COLOR) == ("#ffaaaa", "#aaaaff")

# %% [markdown]
# **How to read it.** Where the network is sure, one bar takes everything. Where it hesitates, its second and third choices are mostly of the same kind: animals
# for animals, vehicles for vehicles. With ten classes five labels are half of all, so "among the five" says much less here
# than with a thousand.
#
# **A photograph of your own.** Put a path in place of `None`. The middle is cut out and made as small as the images that the network knows (§2).
# `None` takes the portrait of Grace Hopper that matplotlib brings along, and none of the ten classes is a person.

# %% tags=["nbval-ignore-output"]
my_photograph = None  # for example "cat.jpg"
mine = photograph(my_photograph, side=test.pixels.shape[2])
best = top5_panel(mine[None], [None])

# %% [markdown]
# **A file that is no image says so.** A cut JPEG would otherwise be judged half grey.

# %%
try:
    photograph(results_dir() / "retrieval.json", side=32)
except ValueError as error:
    message = str(error)
print(message.replace(str(results_dir()), "…"))
assert "cannot be read as a photograph: it is no image of a known kind" in message

# %% [markdown]
# **(2) Figure 4, right.** Five test images in the first column. Beside each the six training images that are nearest in the last hidden layer, and below the
# six that are nearest in pixels.

# %% tags=["nbval-ignore-output"]
features = network.features(train.pixels)  # (N, D)
queries = network.features(test.pixels)
vectors, query_vectors = as_vectors(train.pixels), as_vectors(test.pixels)
shown, k = paper.FIGURE4_QUERIES, paper.FIGURE4_NEIGHBOURS

rows = {
    "features": nearest(queries[:shown], features, k).index,
    "pixels": nearest(query_vectors[:shown], vectors, k).index,
}
figure, axes = plt.subplots(2 * shown, k + 1, figsize=(9.4, 15.5))
for i in range(shown):
    for part, (name, index) in enumerate(rows.items()):
        row = axes[2 * i + part]
        if part == 0:
            lesson.draw_image(row[0], test.pixels[i], f"test: {test.classes[test.labels[i]]}")
        else:
            row[0].axis("off")
        row[1].set_ylabel(name)
        for ax, j in zip(row[1:], index[i], strict=True):
            same = bool(train.labels[j] == test.labels[i])
            lesson.draw_image(ax, train.pixels[j], train.classes[train.labels[j]], same=same, size=8)
figure.suptitle(f"Six nearest training images{note}\nframe: solid blue the same class, dashed orange another")
figure.tight_layout()
plt.show()
print(f"{len(train):,} training images were searched, vectors of {features.shape[1]} features")

# %% [markdown]
# **How to read it.** In the saved picture, from CIFAR-10, the truck finds trucks: of other colours, on other grounds, seen from other sides. By pixels
# it finds whatever is dark with something bright in the middle. The deer finds deer, and then horses. Where the network hesitated above, as about the first bird, the
# neighbours come from several classes. What counts in pixels is which colour lies where.
#
# **Now in numbers**: all test images, all training images.

# %% tags=["nbval-ignore-output"]
by_features = precision_at_k(nearest(queries, features, k).index, test.labels, train.labels)
by_pixels = precision_at_k(nearest(query_vectors, vectors, k).index, test.labels, train.labels)
for name, share in (("features", by_features), ("pixels", by_pixels)):
    error = share.std().item() / len(share) ** 0.5  # of the mean, over test images
    print(f"precision at {k} by {name:9} {share.mean():.1%} ± {1.96 * error:.1%} (your run)")
hidden = retrieval.layers(record)[-2]
print(
    f"five networks: {retrieval.spread(retrieval.precisions(record, hidden))} by features, "
    f"{retrieval.spread(retrieval.precisions(record, 'pixels'))} by pixels (recorded)"
)
assert by_features.mean() > 0.5
assert by_features.mean() > by_pixels.mean() + 0.2

# %% [markdown]
# **How far away in pixels are the neighbours in features?** The record has, for each of them, the share of all training images that
# is nearer in pixels. 0% would be the nearest of all, 50% what an image taken at random has.

# %%
low, median, high = (
    record.runs[f"nearer_{name}"].mean()  # over the networks
    for name in ("low", "median", "high")
)
print(
    f"for the median neighbour {median:.0%} of the training images are nearer in pixels, for half of them {low:.0%} to {high:.0%} (recorded)"
)
assert 0.05 < median < 0.5
print()
print(retrieval.layer_table(record))
print(record.origin())

# %% [markdown]
# **How to read it.** Neighbours in features are nearer in pixels than images taken at random, which colour and composition explain: ships lie on
# blue. But thousands of other images are nearer still, so "generally not close" is right. And the class becomes visible layer by layer. Edges and colours,
# pooled, are the largest step; after that every convolution adds less. What the classifier says to the ten classes serves no worse than the hidden layer's 256 numbers: on
# ten classes there is little more to know. With a thousand, and for looks within a class, there is.
#
# ## 5 · Look

# %%
names = ("pixels", *retrieval.layers(record))
figure, ax = plt.subplots(figsize=(8.5, 4))
lesson.draw_precisions(ax, {name: retrieval.precisions(record, name) for name in names}, 0.1)
ax.set_ylabel(f"precision at {plan['k']}")
ax.set_xlabel("where neighbours were searched")
ax.set_title("CIFAR-10: each dot a network (recorded)")
plt.tight_layout()
plt.show()
first, *_, last, _ = retrieval.layers(record)
pixels_level = retrieval.precisions(record, "pixels")[0]
assert min(retrieval.precisions(record, last)) > max(retrieval.precisions(record, first)) > 0.1
assert min(retrieval.precisions(record, last)) > pixels_level + 0.2

# %% [markdown]
# **Now you.** Pick a test image, or give one of your own, and change the layer. Below are always the nearest in pixels. Which layers
# still care about colour and place? When does the network err, and what do its neighbours say then? (So that every layer fits into
# memory, a part of the training images is searched.)

# %% tags=["nbval-ignore-output"]
some = torch.arange(min(len(train), 5_000))
lesson.neighbour_explorer(network, train.subset(some), test.subset(torch.arange(100)), image=3)

# %% [markdown]
# **How to read it.** `conv1` finds edges and colours at about the same places. Further up the background may change. In the last hidden layer, a wrong answer and
# wrong neighbours go together: the vector lies among those of the other class.
#
# **The whole space as a map.** t-SNE puts near vectors near each other on a plane and starts at the first two principal components. It knows
# no labels. Left the features, right the pixels of the same test images.

# %% tags=["nbval-ignore-output"]
points = min(1_000, len(test))
maps = {"last hidden layer": plane(queries[:points]), "pixels": plane(query_vectors[:points])}
figure, axes = plt.subplots(1, 2, figsize=(13, 6.4))
for ax, (name, where) in zip(axes, maps.items(), strict=True):
    middles = centers(where, test.labels[:points], len(test.classes)) if name != "pixels" else None
    lesson.draw_map(ax, where, test.labels[:points], test.classes, middles)
    ax.set_title(name)
figure.suptitle(f"{points:,} test images by t-SNE, your run{note}")
axes[1].legend(
    ncols=1, fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.8
)
plt.tight_layout()
plt.show()


# %%
def same_nearby(where):
    """Share of points whose nearest point on the map has their class."""
    index = nearest(where, where, 2).index[:, 1:]
    return precision_at_k(index, test.labels[:points], test.labels[:points]).mean().item()


assert same_nearby(maps["last hidden layer"]) > same_nearby(maps["pixels"]) + 0.2

# %% [markdown]
# **How to read it.** In features each class has a place, and related classes are neighbours; the names stand at the median of their points.
# By pixels the classes lie on top of each other: there is structure, light to dark, but hardly of classes. Distances across the map and its axes mean
# nothing.
#
# ## 6 · What the 2012 code did
#
# `findsimilar.py` reads the 4096 features batch by batch: training batches 1 to 1334. **Each batch offers only its nearest image**, and of these offers the 16 best
# are kept, by squared distance. If two of the true 16 lie in one batch, the farther one is lost, and a worse one takes its place.
#
# **How much is lost?** What is found is the number of batches that hold at least one of the true $k$. A batch holds none of them with the chance $(1 - 1/B)^k$, if images are dealt to the $B$ batches at random. So
#
# $$\mathbb{E}[\text{found}] = B \left(1 - \left(1 - \tfrac{1}{B}\right)^k\right).$$

# %%
of_2012 = expected_by_batches(KEPT_2012, BATCHES_2012)
of_figure4 = expected_by_batches(paper.FIGURE4_NEIGHBOURS, BATCHES_2012)
print(
    f"with {BATCHES_2012} batches {of_2012:.2f} of the true {KEPT_2012}, {of_figure4:.3f} of the six in Figure 4"
)
assert abs(of_2012 - BATCHES_2012 * (1 - (1 - 1 / BATCHES_2012) ** KEPT_2012)) < 1e-9

# %% [markdown]
# Now both searches run, with few batches and with many. Once the training images are shuffled. Once they lie in class order, as a folder of class
# folders is read.

# %% tags=["nbval-ignore-output"]
asked = queries[:500]
in_order = features[train.labels.argsort(stable=True)]
true, true_in_order = (nearest(asked, each, KEPT_2012).index for each in (features, in_order))
print("batches    expected   shuffled   in class order   (of 16; your run)")
for batches in (16, 50, 200, 1000):
    expected = expected_by_batches(KEPT_2012, batches, len(train))
    mean = {}
    for name, gallery, exact in (("shuffled", features, true), ("in order", in_order, true_in_order)):
        by_batches = nearest_of_batches(asked, gallery, batches, KEPT_2012).index
        mean[name] = KEPT_2012 * share_found(by_batches, exact).mean().item()
    print(f"{batches:7} {expected:11.2f} {mean['shuffled']:10.2f} {mean['in order']:12.2f}")
    assert abs(mean["shuffled"] - expected) < 0.5
    assert mean["in order"] < expected

# %%
by_batches = record.rows("batches", variant="features", seed=1).to_dict("records")
figure, ax = plt.subplots(figsize=(8.5, 3.8))
lesson.draw_batches(ax, by_batches, plan["kept"])
ax.set_xlabel("batches into which the training images are cut")
ax.set_ylabel(f"true neighbours found, of {plan['kept']}")
ax.set_title("one image offered by each batch, CIFAR-10 (recorded)")
plt.tight_layout()
plt.show()
for row in by_batches:
    assert abs(row["shuffled"] - row["expected"]) < 0.25
    assert row["in_order"] < row["shuffled"]

# %% [markdown]
# **How to read it.** The derivation holds for shuffled images. With 1334 batches the authors lost one neighbour in a hundred and eighty, and saved
# keeping a list for each batch. In class order the true neighbours crowd into a few batches, and the same code loses many more. Whether
# their batches were shuffled cannot be seen in the release: no reordering is visible in it.
#
# **The proposal: short codes.** An auto-encoder maps a vector to $b$ numbers, through tanh, rounds them to $\pm 1$, and maps them back. It learns without labels to lose as little as it can.
# Rounding has no slope, so going backward it counts as if it were not there. Two images are then as far apart as their codes differ in bits. The bar that
# it must clear costs no training: **random planes**, $b$ of them through the mean, and a bit for the side of each.

# %% tags=["nbval-ignore-output"]
bits = 32
learned = train_coder(features, CodeSettings(bits, epochs=4), seed=1)
drawn = random_coder(features, bits, seed=1)
for name, coder in (("auto-encoder", learned), ("random planes", drawn)):
    codes, query_codes = coder(features), coder(queries)
    index = search_codes(query_codes, codes, k).index
    share = precision_at_k(index, test.labels, train.labels).mean()
    print(
        f"{bits} bits, {name:13} precision at {k} {share:.1%}, {len(codes.unique(dim=0)):,} different codes (your run)"
    )
    assert share > by_pixels.mean() + 0.1
memory = {"features": features.nbytes, "codes": pack(codes).nbytes}
print(
    f"{memory['features']:,} bytes of features, {memory['codes']:,} of codes: {memory['features'] / memory['codes']:.0f} times"
)
assert memory["features"] == memory["codes"] * 32 * features.shape[1] // bits

# %%
a = search_codes(query_codes[:20], codes, k).distance
b = hamming(query_codes[:20], codes).sort(1).values[:, :k]
assert torch.equal(a.float(), b)  # faiss counts what the matrix product counts
assert torch.equal(hamming(query_codes[:2], codes[:2]), (query_codes[:2, None] != codes[None, :2]).sum(2))

# %%
lengths = plan["bits"]
figure, axes = plt.subplots(1, 2, figsize=(13, 4.8), sharex=True)
for ax, what in zip(axes, ("precision", "recall"), strict=True):
    values = {
        (source, kind): [retrieval.code_values(record, source, kind, b, what) for b in lengths]
        for source in retrieval.SOURCES
        for kind in retrieval.KINDS
    }
    exact = {"exact search, features": fmean(retrieval.precisions(record, hidden))}
    exact["exact search, pixels"] = pixels_level
    lesson.draw_codes(ax, lengths, values, exact if what == "precision" else {})
    ax.set_xlabel("bits of a code")
axes[0].set_ylabel(f"precision at {plan['k']}")
axes[0].set_title("right class among the six (recorded)")
axes[1].set_ylabel(f"true neighbours among {plan['shortlist']} codes")
axes[1].set_title("recall of the true six (recorded)")
axes[1].legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
plt.tight_layout()
plt.show()
print(retrieval.code_table(record))

# %% [markdown]
# **How to read it.** Short codes work, and those of features are far better than those of pixels of any length: the proposal of §6.1 holds. 32 bits in
# place of 256 numbers keep most of the precision. (An auto-encoder helps pixels, too: its longer codes find more of the right class than pixels
# themselves do, since what it has no room for is mostly noise.)
#
# Does it need an auto-encoder? That depends on what is asked for. It finds more of the *true neighbours*, since it learned to keep what makes
# up distances, above all with few bits. But for the *right class* it leads with 32 bits only. With 64 random planes draw level, and with
# more they are ahead, without any training; with 256 they are even ahead of exact search. How can that be?

# %%
angle = list(record.of(variant="features").runs["by_angle"])
print(
    f"exact search by distance: precision {retrieval.spread(retrieval.precisions(record, hidden))} (recorded)"
)
print(f"exact search by angle:    precision {retrieval.spread(angle)} (recorded)")
for b in lengths:
    precision_lead, recall_lead = retrieval.lead(record, b), retrieval.lead(record, b, "recall")
    print(
        f"{b:3} bits: auto-encoder against random planes {min(precision_lead):+.1f} to {max(precision_lead):+.1f} points of "
        f"precision, {min(recall_lead):+.1f} to {max(recall_lead):+.1f} of recall (recorded, {len(precision_lead)} networks)"
    )
for b in lengths:
    worst = min(retrieval.code_values(record, "features", "auto-encoder", b))
    assert worst > max(retrieval.code_values(record, "pixels", "auto-encoder", b)) + 0.2
assert min(retrieval.code_values(record, "pixels", "auto-encoder", lengths[-1])) > pixels_level
assert min(angle) > max(retrieval.precisions(record, hidden))
assert min(retrieval.lead(record, 32)) > 0 > max(retrieval.lead(record, 256))
assert min(retrieval.lead(record, 32, "recall")) > 0

# %% [markdown]
# **How to read it.** The sides of random planes know the *angle* between two vectors and not their lengths (exercise 08.5), and on these features
# the angle is the better measure: how strongly an image excites the layer says little about its class. The paper compares distances.
#
# **Memory and time.** A code of 256 bits in place of 4096 float32 numbers is 512 times smaller (exercise 08.1), and counting bits that differ takes the processor a few instructions.
# `benchmarks/neighbours.py` compares exact search and codes side by side on your machine; `benchmarks/README.md` has what it gave here.


# %% tags=["nbval-ignore-output"]
def seconds(search):
    start = time.perf_counter()
    search()
    return time.perf_counter() - start


few = min(100, len(queries))
times = {
    "exact, features": seconds(lambda: nearest(queries[:few], features, k)),
    "32-bit codes": seconds(lambda: search_codes(query_codes[:few], codes, k)),
}
for name, taken in times.items():
    print(f"{few} queries among {len(train):,}, {name:15} {1000 * taken:.1f} ms, once (your run)")

# %% [markdown]
# ## 7 · Exercises
#
# Type your answer in place of `None` and run the cell. `hint("08.1")` gives a hint. Solutions are in
# `notebooks/solutions/`.
#
# **08.1** (5 minutes, easy). A vector of 4096 float32 numbers is replaced by a code of 256 bits. How many times smaller is that?

# %%
answer_1 = None
check("08.1", answer_1)

# %% [markdown]
# **08.2** (10 minutes, medium). Codes are given as signs: `u` (Q, bits) and `v` (N, bits) hold −1 and +1. Write a function of `u` and `v` that
# returns in how many bits each pair differs, (Q, N), without a loop.

# %%
answer_2 = None  # lambda u, v: ...
check("08.2", answer_2)

# %% [markdown]
# **08.3** (10 minutes, medium). Write a function of `k` and `B`: how many of the true $k$ nearest are found on the mean if each of $B$ shuffled
# batches offers its nearest one.

# %%
answer_3 = None  # lambda k, B: ...
check("08.3", answer_3)

# %% [markdown]
# **08.4** (20 minutes, harder). With short codes many images are equally far. Write a function of `distances` (N,), `same` (N,) bool (has it the query's class?)
# and `k` that returns the precision at $k$ to be expected if ties are broken at random.


# %%
def shared_precision(distances, same, k): ...


answer_4 = None  # shared_precision
check("08.4", answer_4)

# %% [markdown]
# **08.5** (15 minutes, harder). The cosine of the angle between two vectors is $c$. Write a function of `c` (a tensor) that returns the share of bits in which
# their codes by infinitely many random planes differ.

# %%
answer_5 = None  # lambda c: ...
check("08.5", answer_5)

# %% [markdown]
# ## 8 · Verdict

# %%
verdict(
    ["top5-panel", "neighbours", "binary-codes"],
    why={
        "top5-panel": "The same panel. Ten classes and small images make mistakes coarser; five labels of ten say little.",
        "neighbours": "The claim holds in small. Neighbours in features are somewhat nearer in pixels than random images, but thousands of others are nearer. By angle the precision is higher still.",
        "binary-codes": "It works, and features are far better than pixels. But random planes, which learn nothing, find the right class as well with 64 bits and better with more; the auto-encoder leads with 32 bits, and in finding the true neighbours.",
    },
)

# %%
code_32 = 100 * fmean(retrieval.code_values(record, "features", "auto-encoder", 32))
for words, guess, measured in (
    (
        "by features",
        my_share_by_features,
        100 * fmean(retrieval.precisions(record, hidden)),
    ),
    ("by pixels", my_share_by_pixels, 100 * pixels_level),
    ("by 32 bits", my_share_by_32_bits, code_32),
):
    if guess is not None:
        print(f"{words}: you predicted {guess:g}%, measured {measured:.0f}% (recorded)")

# %% [markdown]
# **To repeat the record**: `alexnet-edu experiment retrieval`. It can be killed at any moment, goes on when called again, and writes
# `data/results/retrieval.json`. The networks themselves: `alexnet-edu weights train cifar10`.
