# %% [markdown]
# # 08 · Predictions and neighbours
#
# **The claims** (§6.1, Figure 4). Of the five labels that the network finds most probable, most are reasonable. Take the 4096 outputs of the last hidden layer: training images that are close to a test image in *Euclidean distance* show the same kind of thing, although they are generally *not close in pixels*.
# And a proposal that the paper does not try out: an *auto-encoder* could compress these vectors to short binary codes for fast search, better than one trained on raw pixels.
#
# **The answer.** All three hold for a small network. But short codes need no auto-encoder.

# %%
import copy
import dataclasses

import torch
import torch.nn.functional as F

from alexnet_edu.lessons import neighbours as lesson
from alexnet_edu.notebook import at_scale, check, hint, load, load_cifar10, show, verdict
from alexnet_edu.show.photograph import photograph
from alexnet_edu.studies import codes, neighbours, networks

# %% tags=["nbval-ignore-output"]
record, images = load("retrieval"), load_cifar10()
network = networks.weights_for(images)
train, test = lesson.shuffled(images)
features = network.features(train.pixels)  # (N, D), the last hidden layer, after ReLU
queries = network.features(test.pixels)
pixels = neighbours.as_vectors(train.pixels)
by_features = neighbours.nearest(queries[:5], features, 6).index
by_pixels = neighbours.nearest(neighbours.as_vectors(test.pixels[:5]), pixels, 6).index
show(*lesson.figure4(test, train, by_features, by_pixels, record))

# %% [markdown]
# Figure 4, right, for a small network trained on CIFAR-10, whose last hidden layer has 256 units. Each row begins with a test image. In pixels, what counts is which colour lies where. In features, the colour, the background and the point of view may change. Thousands of training images are nearer in pixels than a typical neighbour in features.
#
# **Know first:** lesson 07, the first layer of the same network. **Time:** 45 minutes, two or three of them computing, and 50 minutes of exercises.
#
# ## 1 · Predict
#
# Is it the training, or would any network of this shape do it? Pooling forgives small shifts, and ReLU drops what does not match. So take the same network *before training*, with random weights. There are ten classes, so chance gives 10%.
# **What share of the six neighbours has the right class now, in the last hidden layer?** More than pixels give, or less?

# %%
my_share = None  # for example 50, in percent

# %% [markdown]
# ## 2 · Derive
#
# A query $x$ and a training image $y$ are vectors of $D$ numbers. For many of both, it pays to write the squared distance as
#
# $$\lVert x - y \rVert^2 = \lVert x \rVert^2 - 2\, x \cdot y + \lVert y \rVert^2,$$
#
# because then all pairs are one matrix product. The root is left out: it keeps the order. (Where large vectors differ little, this loses digits. So the package first subtracts the mean of the training vectors from both, which changes no distance.)
#
# *Precision at $k$* is the share of the $k$ nearest that has the class of the query. It needs no threshold.


# %%
def distances_one_by_one(x, y):
    """x: (Q, D), y: (N, D) -> ‖x − y‖² of all pairs, (Q, N)."""
    return torch.stack([((query - y) ** 2).sum(1) for query in x])


def distances(x, y):
    return (x * x).sum(1)[:, None] - 2 * x @ y.T + (y * y).sum(1)[None]


def precision(index, labels, train_labels):
    """index: (Q, k) places of the neighbours -> (Q,)."""
    return (train_labels[index] == labels[:, None]).float().mean(1)


# %% [markdown]
# ## 3 · Bridge

# %%
torch.manual_seed(0)
x, y = torch.randn(8, 16, dtype=torch.float64), torch.randn(50, 16, dtype=torch.float64)
print("one by one = matrix product:", torch.allclose(distances_one_by_one(x, y), distances(x, y)))
index = distances(x, y).argsort(1)[:, :6]
print("the package's neighbours:   ", torch.equal(index, neighbours.nearest(x, y, 6).index))
labels = torch.arange(50) % 3
mine, theirs = (p(index, labels[:8], labels) for p in (precision, neighbours.precision_at_k))
print("the package's precision:    ", torch.equal(mine, theirs))

# %% [markdown]
# ## 4 · Run
#
# We search in every layer, of the trained network and of three with random weights. To save time and memory, only 1,000 test images look for neighbours among 10,000 training images. About a minute.


# %%
def untrained(network, seed):
    """The same layers with random weights."""
    random, stages = torch.Generator().manual_seed(seed), copy.deepcopy(network.stages)
    for w in stages.parameters():  # biases 0; weights with the variance 2 / fan-in
        w.zero_() if w.dim() == 1 else w.normal_(0, (2 / w[0].numel()) ** 0.5, generator=random)
    return dataclasses.replace(network, stages=stages)


def by_layer(network, train, test):
    """Layer -> precision at six."""
    y, x = (network.outputs_of(part.pixels, network.layers) for part in (train, test))
    found = {name: neighbours.nearest(x[name].flatten(1), y[name].flatten(1), 6) for name in network.layers}
    return {name: precision(f.index, test.labels, train.labels).mean().item() for name, f in found.items()}


# %% tags=["nbval-ignore-output"]
few = train.subset(torch.arange(at_scale(1_000, 10_000, 20_000)))
some = test.subset(torch.arange(at_scale(300, 1_000, 2_000)))
trained = by_layer(network, few, some)
random = [by_layer(untrained(network, seed), few, some) for seed in (0, 1, 2)]
index = neighbours.nearest(neighbours.as_vectors(some.pixels), pixels[: len(few)], 6).index
in_pixels = precision(index, some.labels, few.labels).mean().item()
show(*lesson.by_layer(trained, random, in_pixels, few, my_share))

# %% [markdown]
# **The architecture gives a little, and then takes it back.** Random kernels with pooling are somewhat better than pixels. But every further random layer forgets. Learning turns the slope round: up to the last hidden layer, each layer knows more about the class than the one before.
#
# The ten numbers of the classifier serve about as well as the 256. With ten classes there is little more to know; with a thousand there may be.
#
# ## 5 · Look
#
# **What are the labels worth?** Figure 4, left: eight images and their five most probable labels, the true one in red, the others in blue, as `shownet.py` has it. With ten classes five labels are half of all, so "the right one is among the five" says little. "Reasonable" can be measured in another way: does the network stay among animals when it sees an animal, and among vehicles when it sees a vehicle? The last image is a portrait. (Put the path of a photograph of your own in place of `None`.)

# %% tags=["nbval-ignore-output"]
kinds = lesson.kinds(network.classes)  # (classes,) bool: a vehicle?
order = network.probabilities(test.pixels).argsort(1, descending=True)
wrong, true = order[:, 0] != test.labels, kinds[test.labels]
others = torch.where(true, kinds.sum() - 1, (~kinds).sum() - 1) / (len(kinds) - 1)  # chance, per image
same = [
    (kinds[order[:, 0]] == true)[wrong].float().mean(),
    (kinds[order[:, 1]] == true)[~wrong].float().mean(),
]
chance = [others[wrong].mean(), others[~wrong].mean()]
show(*lesson.five_labels(network, test, photograph(None, side=32), same, chance))

# %% [markdown]
# The labels are reasonable, far more often than by chance. So are most mistakes.
#
# **And the portrait?** It is Grace Hopper, and no class is a person. Softmax must share out 100% among ten classes. So a probability says *which of the ten*, and never *whether any*. 99% sounds like certainty, but is not.
#
# **Now you.** Choose a layer. The lower row always shows the nearest in pixels. Where do colour and place still count? Find a test image with a wrong label: what do its neighbours say? Then give it a photograph of your own.

# %% tags=["nbval-ignore-output"]
lesson.neighbour_explorer(network, few, some, image=3, frames={"layer": ("conv1", network.hidden)})

# %% [markdown]
# A wrong label and wrong neighbours go together: the vector lies among those of the other class. (The classifier reads nothing but this vector.)
#
# ## 6 · Short codes: the auto-encoder
#
# Is a distance of 4096 numbers too slow? For 1.2 million images it means five billion multiply-adds per query, and 20 GB of vectors. Counting the bits in which two codes differ takes a few instructions. Krizhevsky and Hinton (2011) had made codes of 28 and of 256 bits with auto-encoders, from *pixels*. §6.1 proposes to make them from features.
#
# An auto-encoder maps a vector to $b$ numbers, rounds them to $\pm 1$, and maps them back. It learns, without labels, to lose as little as it can. But a step has the slope 0, so no gradient would reach the encoder. The way out: forward, take the sign; backward, act as if it had not been taken. That is called *straight-through*.


# %%
def binary(h):
    """(N, b) -> −1 or +1; backward, the slope of tanh."""
    smooth = torch.tanh(h)
    signs = torch.where(smooth >= 0, 1.0, -1.0)
    return smooth + (signs - smooth).detach()


def train_encoder(x, bits, epochs, seed):
    """x: (N, D) -> the encoder; the sign of each of its outputs is a bit."""
    random = torch.Generator().manual_seed(seed)
    model = codes.BinaryAutoEncoder(x.shape[1], bits, 512, random)  # two layers each way
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 - epoch / epochs)
        for batch in torch.randperm(len(x), generator=random).split(250):
            loss = F.mse_loss(model.decoder(binary(model.encoder(x[batch]))), x[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.encoder


# %% [markdown]
# What must it beat? **Random planes** through the mean: a bit is the side of a plane. **PCA**: the signs along the $b$ directions of largest variance. And **ITQ** (Gong and Lazebnik, 2011): PCA, then a rotation $R$ that brings the vectors as near as it can to corners $\pm 1$. With given corners $B$ the best $R$ comes from one singular value decomposition; with given $R$ the best corners are the signs; and so on in turns. No gradient, no label.


# %%
def itq(x, bits, seed, rounds=30):
    """x: (N, D), mean 0 -> (D, bits); the sign of x times a column is a bit. rounds=0: a random rotation."""
    axes = torch.linalg.eigh(x.T @ x).eigenvectors[:, -bits:]
    R = torch.linalg.qr(torch.randn(bits, bits, generator=torch.Generator().manual_seed(seed))).Q
    for _ in range(rounds):
        B = torch.where(x @ axes @ R >= 0, 1.0, -1.0)
        u, _, v = torch.linalg.svd((x @ axes).T @ B)
        R = u @ v
    return axes @ R


# %% tags=["nbval-ignore-output"]
bits, seeds = 32, (1, 2, 3)
epochs, count = at_scale(2, 10, 20), at_scale(300, 2_000, 10_000)
scale = codes.Scale.of(features)  # minus the mean, over the standard deviation
x, asked, labels = scale(features), scale(queries[:count]), test.labels[:count]
true = neighbours.nearest(asked, x, 6).index


def quality(encoder):
    """Precision at six, and the share of the true six among the nearest 100 codes."""
    with torch.no_grad():
        ours, all_codes = (encoder(v) >= 0 if callable(encoder) else v @ encoder >= 0 for v in (asked, x))
    index = codes.search_codes(ours, all_codes, 100).index
    right = precision(index[:, :6], labels, train.labels)
    return right.mean().item(), neighbours.share_found(index, true).mean().item()


randoms = [torch.Generator().manual_seed(seed) for seed in seeds]
encoders = {
    "random planes": [torch.randn(x.shape[1], bits, generator=random) for random in randoms],
    "PCA": [torch.linalg.eigh(x.T @ x).eigenvectors[:, -bits:]],
    "PCA, turned at random": [itq(x, bits, seed, rounds=0) for seed in seeds],
    "ITQ": [itq(x, bits, seed) for seed in seeds],
    "auto-encoder": [train_encoder(x, bits, epochs, seed) for seed in seeds],
}
made = {name: [quality(encoder) for encoder in each] for name, each in encoders.items()}
show(*lesson.codes(made, precision(true, labels, train.labels).mean().item(), bits, train, record))

# %% [markdown]
# **The proposal holds.** 32 bits in place of 256 numbers keep most of the precision, and codes of features are far better than codes of pixels.
#
# **But it needs no auto-encoder.** If you want the *right class*, drop the directions of small variance and turn the rest: that is hardly any work, and it wins. The auto-encoder learned to keep distances, so it finds many of the *true neighbours*; plain PCA finds about as many. Which code is better depends on what you ask it for. With 4096 numbers and a thousand classes it may be otherwise. ([How many bits?](further/08_how_many_bits.ipynb))
#
# ## 7 · What the 2012 code did
#
# - **Squared distances, without the root.** `findsimilar.py` compares the features of a test image with those of the training images, batch by batch: 1334 batches.
# - **Each batch offers only its nearest image.** Of these offers the best 16 are kept. If two of the true 16 lie in one batch, the farther one is lost. How many that costs is exercise 08.3.
# - **Nothing about codes** is in the release: no auto-encoder, no search by bits.
#
# CIFAR-10 itself has a trap: some test images have a near-duplicate among the training images (Barz and Denzler, 2020, count 3.3%). [They decide little here](further/08_twins.ipynb).
#
# ## 8 · Verdict

# %%
verdict(
    ["top5-panel", "neighbours", "binary-codes"],
    why={
        "top5-panel": "Mistakes and second guesses mostly stay within animals or vehicles; five labels of ten say little.",
        "neighbours": "Learning, not the architecture, brings images of one class together, and thousands of others are nearer in pixels.",
        "binary-codes": "Features are far better than pixels, but codes that need no training find the right class as well: random planes from 64 bits on, ITQ with 32.",
    },
)

# %% [markdown]
# ## 9 · Exercises
#
# Replace `None` and run the cell. `hint("08.1")` helps; solutions are in `notebooks/solutions/`.
#
# **08.1** (5 minutes). A vector of 4096 float32 numbers is replaced by a code of 256 bits. How many times smaller is that?

# %%
answer_1 = None
check("08.1", answer_1)

# %% [markdown]
# **08.2** (10 minutes). Codes are given as signs: `u` (Q, b) and `v` (N, b) hold −1 and +1. Write a function of `u` and `v` that returns in how many bits each pair differs, (Q, N), by one matrix product.

# %%
answer_2 = None  # lambda u, v: ...
check("08.2", answer_2)

# %% [markdown]
# **08.3** (10 minutes). Training images are dealt at random to $B$ batches, and each batch offers only its nearest. How many of the true $k$ nearest are found on average? Write a function of `k` and `B`. (What did it cost the authors, with $k = 16$ and $B = 1334$? What if images lie in class order?)

# %%
answer_3 = None  # lambda k, B: ...
check("08.3", answer_3)

# %% [markdown]
# **08.4** (10 minutes, a sick patient). A colleague's encoder has died: it gives every image the same code. Still, the precision at six is 100% for airplanes, and 0% for all other classes. What does the measure count? Mend it: write a function of `distances` (N,), `same` (N,) bool (has it the query's class?) and `k` that returns the expected precision at $k$ if ties are broken at random. (Why are the training images of this lesson shuffled?)


# %%
def fair_precision(distances, same, k): ...


answer_4 = None  # fair_precision
check("08.4", answer_4)

# %% [markdown]
# **08.5** (15 minutes, hard). The cosine of the angle between two vectors is $c$. Write a function of `c` (a tensor) that returns the share of bits in which their codes differ, with infinitely many random planes. (So what do random planes know about a vector, and what do they not know?)

# %%
answer_5 = None  # lambda c: ...
check("08.5", answer_5)

# %% [markdown]
# **Change it and run again.** In `binary`, leave out the straight-through: return `signs`. Then the other way: train with `smooth` alone, and take signs only when you search. What happens to the loss, and what to the search?
#
# **To discuss.** To the network the portrait is a truck, with 99%. How could its *neighbours* tell the network that it has never seen anything like it? What would you have to measure, and where would you draw the line?
#
# **Go deeper:** [How many bits, and why random planes win](further/08_how_many_bits.ipynb) · [Near-duplicates](further/08_twins.ipynb) · [One offer from each batch](further/08_one_from_each_batch.ipynb) · [The space as a map](further/08_a_map.ipynb). **Repeat the
# record:** `alexnet-edu experiment retrieval`. **Next:** [09](09_dropout.ipynb), dropout.
