# %% [markdown]
# # 09 · Dropout: what does a mask in training cost, and what does the halving at test time stand for?
#
# **The claims** (§4.2). In training, the output of each hidden unit of the first two fully connected layers is set to zero with
# probability 0.5. At test time all units are used, and their outputs are multiplied by 0.5. Without dropout the network overfits
# substantially; with it, training takes about twice as many iterations to converge; and the halving is a reasonable approximation to the geometric
# mean of the predictions of exponentially many thinned networks.
#
# **The answer.** A small network on CIFAR-10 overfits without dropout, and at the same learning rate it needs about twice the epochs with it
# (fewer if dropout gets a higher rate). For a single softmax layer the halving is not even an approximation: it is exact, and you will prove it.

# %%
import itertools

import torch
import torch.nn.functional as F

from alexnet_edu.lessons import dropout as lesson
from alexnet_edu.model.layers import Dropout
from alexnet_edu.notebook import at_scale, check, hint, load, load_cifar10, show, verdict
from alexnet_edu.studies.ablations import small_alexnet
from alexnet_edu.studies.run import build

record = load("dropout")
show(*lesson.overfitting(record))

# %% [markdown]
# AlexNet made small: three convolutions, two hidden layers of 512 units, 10,000 training images and no augmentation, so that it can overfit.
#
# **Know first:** softmax and cross-entropy. **Time:** 45 minutes, of which two or three of computing, and 45 minutes of exercises.
#
# Why does a network with 60 million parameters not simply memorize 1.2 million images? Left alone it would: the paper reports substantial overfitting
# without augmentation (§4.1) and again without dropout. The story that people remember, told at length in the later paper on dropout (Srivastava et
# al., 2014), is *sexual reproduction*: a gene cannot count on particular other genes being there in the next generation, so it has to be useful in mixed
# company. A unit under dropout cannot count on its neighbours either. The authors' code calls the layer `HiddenSexLayer`.
#
# ## 1 · Predict
#
# The paper's factor of two is about the training. Watch the *test* error instead: the same network, the same learning rate, with and without dropout.
# **How many times as many epochs does it take with dropout until half of the test images are right?** More than twice, or less?

# %%
my_times = None  # for example 2

# %% [markdown]
# ## 2 · Derive
#
# Unit $i$ has the output $h_i$. Let $m_i$ be 1 with probability $p$ and 0 otherwise. **Here $p$ is the share that is kept;** the argument of `nn.Dropout` is the share that is
# dropped. (At 0.5 nobody notices the difference. At 0.8 it is a bug.) In the form of 2012 training uses $m_i h_i$, and the test uses the mean over all
# masks, $E[m_i h_i] = p\,h_i$:


# %%
def dropout(h, training, p=0.5):
    return h * (torch.rand_like(h) < p) if training else p * h


# %% [markdown]
# **The $2^n$ networks.** Each mask $m$ leaves a thinned network, and all of them share their weights. Let one softmax layer read $n$ units. Then class
# $k$ has the probability $p_m(k) = e^{w_k \cdot (m \circ h) + b_k} / Z_m$, where $\circ$ multiplies unit by unit. With $p = \tfrac12$ all masks are equally
# likely, and the geometric mean over them is
#
# $$\Big(\prod_m p_m(k)\Big)^{1/2^n} = \frac{\exp\Big(\frac{1}{2^n}\sum_m \big(w_k \cdot (m \circ h) + b_k\big)\Big)}{\big(\prod_m Z_m\big)^{1/2^n}}
# = \frac{\exp\big(w_k \cdot \tfrac12 h + b_k\big)}{\text{the same for all } k}.$$
#
# Divide by the sum over $k$: **softmax of $\tfrac12 W h + b$, the network with all units and halved outputs.** We need not trust a
# sample. A layer of 10 units has 1,024 thinned networks: take them all.

# %%
h, W, b = (
    torch.randn(*size, generator=torch.Generator().manual_seed(1)).double() for size in ((10,), (5, 10), (5,))
)
geometric, arithmetic = torch.ones(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
for mask in itertools.product((0.0, 1.0), repeat=10):
    p_mask = torch.softmax(W @ (torch.tensor(mask) * h) + b, 0)
    geometric *= p_mask ** (1 / 2**10)
    arithmetic += p_mask / 2**10
geometric /= geometric.sum()
halved = torch.softmax(0.5 * W @ h + b, 0)
print("the halved network is the geometric mean:", torch.allclose(geometric, halved, atol=1e-12))
print("it is the arithmetic mean, too:         ", torch.allclose(arithmetic, halved, atol=1e-2))

# %% [markdown]
# The proof needs logits that are *linear* in the mask. In AlexNet a hidden layer and its ReLU lie between the first mask and the softmax, and the halving
# becomes an approximation.
#
# ## 3 · Bridge
#
# The package's layer keeps half of its inputs in training, unchanged, and multiplies all of them by $p$ at test time:

# %%
torch.manual_seed(0)
layer, x = Dropout(0.5), torch.rand(1000, 1000) + 1
y = layer(x)
print(f"training: {(y > 0).float().mean():.2f} are kept, as they are: {torch.equal(y[y > 0], x[y > 0])}")
print("test: equal to p·h:", torch.equal(layer.eval()(x), dropout(x, training=False)))

# %% [markdown]
# How good is the approximation? Here are two networks so small that all their masks can be taken: one without a hidden layer, one with. The panel on the right measures
# how far a prediction lies from the geometric mean of *all* thinned networks (as a Kullback–Leibler divergence: 0 means the same probabilities). **Move
# *masks drawn*.** How many thinned networks must you average to come as near as one pass through the halved network? Then take the deeper network.

# %% tags=["nbval-ignore-output"]
lesson.dropout_explorer(frames={"depth": (1, 2)})

# %% [markdown]
# ## 4 · Run
#
# With and without dropout, side by side, on a few thousand images. `net.eval()` switches the masks off and the halving on.


# %%
def train(net, images, labels, test, test_labels, epochs, rate=0.005, seed=0):
    """(training error, test error) after each epoch, without masks."""
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    random, curve = torch.Generator().manual_seed(seed), []
    for _ in range(epochs):
        net.train()
        for batch in torch.randperm(len(images), generator=random).split(50):
            optimizer.zero_grad()
            F.cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            curve.append(
                [
                    (net(x).argmax(1) != y).float().mean().item()
                    for x, y in ((images, labels), (test, test_labels))
                ]
            )
    return curve


# %% tags=["nbval-ignore-output"]
cifar = load_cifar10()
count, epochs = at_scale((400, 2), (4000, 15), (10_000, 36))
order = torch.randperm(len(cifar.train), generator=torch.Generator().manual_seed(0))[:count]
data = []
for images in (cifar.train.subset(order), cifar.test.subset(torch.arange(0, len(cifar.test), 5))):
    data += [(images.pixels[:, :, 4:28, 4:28].float() - 128) / 64, images.labels]
curves = {
    name: train(build(small_alexnet(step), 24, 10, 0), *data, epochs)
    for name, step in lesson.FORMS_TRAINED.items()
}
show(*lesson.live_curves(curves, cifar.train))

# %% [markdown]
# Without dropout the training error runs away from the test error. With dropout both come down slowly and stay closer together. On the test images the two
# are about level so far: this run is shorter than the recorded one, and has fewer images.
#
# ## 5 · Look
#
# The recorded runs, 36 epochs, seed by seed. "Until convergence" can mean many things, so count until the *training* error has come down to a
# level; and, to be fair, until the *test* error has. Your guess, if you wrote one down, is the thick dotted line.

# %%
show(*lesson.times_as_many(record, my_times))

# %% [markdown]
# "About doubles" it is, at equal rates. By the test error the factor is smaller: without dropout that error soon stops falling, and the network with
# dropout catches up. In the end the two are not equally good:

# %%
show(*lesson.test_errors(record))

# %% [markdown]
# The difference is taken seed by seed: runs of one seed start from the same weights and see the same images in the same order, and what the seed does
# to both cancels out. Without dropout nearly all *training* images end up right, and more than 40% of the *test* images wrong.
#
# ## 6 · What the 2012 code did
#
# - The layer stands after the ReLU of both hidden fully connected layers, with `keep = 0.5`. In training it multiplies by a fresh mask and scales *nothing*. In
#   every other pass it multiplies by `keep`.
# - `nn.Dropout` does it the other way round: it divides by the kept share in training, and does nothing at test time. The two
#   also *train* differently: a learning rate found with one form does not carry over to the other.
# - **Other trials**, by the log: three fully connected layers overfit (run 109); three, *all* dropped out, underfit (111); dropout of 0.8 on conv4 (177) came
#   out level with the network of the paper.
#
# ## 7 · Verdict

# %%
verdict(
    ["dropout-iters", "dropout-geomean"],
    why={
        "dropout-iters": "The factor is about 2 at equal rates and smaller when dropout gets the higher rate.",
        "dropout-geomean": "Exact where the logits are linear in the mask, close where ReLUs lie in between.",
    },
)

# %% [markdown]
# ## 8 · Exercises
#
# Replace `None` and run the cell. `hint("09.1")` helps; solutions are in `notebooks/solutions/`.
#
# **09.1** (5 minutes). Two layers of 4096 units are dropped out. The number of thinned networks is a power of 2. How many decimal digits does it have?

# %%
answer_1 = None
check("09.1", answer_1)

# %% [markdown]
# **09.2** (10 minutes). In the loop of section 2 a single probability that is rounded down to 0 makes the whole product 0. Write the renormalized
# geometric mean of $M$ networks from their *logits*, in one line.


# %%
def geometric_mean_of(logits):
    """logits: (M, K) of M networks -> (K,) probabilities."""


answer_2 = None  # geometric_mean_of
check("09.2", answer_2)

# %% [markdown]
# **09.4** (10 minutes). A unit of the next layer reads $\sum_i w_i m_i h_i$. What is the variance of this sum over the masks, as a function of $w$, $h$ and
# the kept share? (So what kind of weights does dropout favour?)


# %%
def noise_variance(w, h, keep): ...


answer_4 = None  # noise_variance
check("09.4", answer_4)

# %% [markdown]
# **09.5** (5 minutes). One unit with $h = 1$, one weight $w$, a sigmoid, no bias: that makes two thinned networks. Find a $w$ for which the halved network and the
# *arithmetic* mean of the two differ by 0.2 or more.

# %%
answer_5 = None
check("09.5", answer_5)

# %% [markdown]
# **09.3** (15 minutes, hard). Someone moves from `nn.Dropout(0.2)` to the form of 2012, still keeping a share $p = 0.8$, and wants *the same training*,
# step for step. The weights that read dropped units must start $1/p$ times as large. By what factor must the learning rate of those weights change?

# %%
answer_3 = None
check("09.3", answer_3)

# %% [markdown]
# **A sick patient.** A colleague rebuilds the paper's network with `nn.Dropout(0.5)` after fc6 and fc7, then loads weights that were trained in the form of
# 2012. The test error looks nearly right, but the loss is far too high. What happened, and why does the *error* hardly notice?
#
# **Change it and run again.** Keep 0.8 in place of 0.5: set `keep = 0.8` in every `Dropout` among `net.modules()` before you train. Where do the
# two curves go, and why?
#
# **To discuss.** Apart from a trial such as run 177, these masks are rarely put on convolutions. Why might a mask do less there?
#
# **Go deeper:** [Inverted dropout](further/09_inverted_dropout.ipynb) · [The average of all thinned networks, and what single units are
# worth](further/09_thinned_networks.ipynb). **Repeat the record:** `alexnet-edu experiment dropout`. **Next:** [10](10_initialization.ipynb), why an AlexNet rebuilt from
# the paper often does not train at first.
