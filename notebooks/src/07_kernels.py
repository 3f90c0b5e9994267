# %% [markdown]
# # 07 · Kernels: what the first layer sees, and whether two columns divide the work
#
# **The claims** (§6.1, Figure 3). The kernels of the first layer become *frequency- and orientation-selective* stripes, and *coloured blobs*. And the two GPUs
# specialize: the kernels of one are largely blind to colour, those of the other are about colour. On every run, the paper says, whatever the random start.
#
# **The answer.** Stripes and blobs you will grow yourself, in a minute. That the two columns divide colour between them is a tendency here, far from "every run".

# %%
import torch
import torch.nn.functional as F

from alexnet_edu.lessons import kernels as lesson
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import kernel_net
from alexnet_edu.notebook import at_scale, check, hint, load, load_cifar10, show, verdict
from alexnet_edu.studies import kernels as numbers
from alexnet_edu.studies import networks

record, network = load("specialization"), networks.load_weights("cifar10")
show(*lesson.sheets(network))

# %% [markdown]
# A small network of two columns, trained on CIFAR-10; it ships with these lessons. Nobody told it to look for edges. A kernel is a little colour picture: light where its weight is positive, dark where it is negative, grey where it is near zero. So it answers most strongly to image patches that look like itself. (Each has its own contrast here. That flatters weak ones: [two ways to draw a
# kernel](further/07_two_ways_to_draw.ipynb).)
#
# **Know first:** what a convolution is; lesson 05, where the columns read each other. **Time:** 45 minutes, one or two of them computing, and 50 minutes of
# exercises.
#
# ## 1 · Predict
#
# Which of the two sheets is the coloured one? It is hard to say. And any two heaps of 48 kernels differ a little. So we ask a question to which the answer can be no: *do the columns differ more than they would if the same
# kernels had been dealt to them like cards?* We call a network **clear** if fewer than 5% of random deals are as far apart. Twenty networks are trained, alike but for the random start. **How many are clear?** By chance it would be
# about one.

# %%
my_clear = None  # of 20, for example 10

# %% [markdown]
# ## 2 · Derive
#
# **Colour.** At each place $(x, y)$ a kernel $w$ has three weights, for red, green and blue. The part along the grey axis $(1, 1, 1)$ sees brightness: it is $(\bar w, \bar w, \bar w)$, with the mean $\bar w = \frac13 \sum_c w_c$. The rest sees colour. So the
# *colour share* of the energy is
#
# $$C = 1 - \frac{3 \sum_{x,y} \bar w(x,y)^2}{\sum_{c,x,y} w_c(x,y)^2} .$$
#
# $C = 0$: the same kernel in all three channels. $C = 1$: blind to any grey image. Random weights have $2/3$ on average, since two of three axes are off the grey one.
#
# **Frequency, direction, selectivity.** The Fourier transform writes a kernel as a sum of waves with powers $P$. The *frequency* of the kernel is that of its strongest wave. Each wave has a direction $\theta$; we add the powers as arrows, with *twice* the angle, because a stripe at
# 180° is the same as a stripe at 0°:
#
# $$\text{selectivity} = \frac{\big|\sum P\, e^{2 i \theta}\big|}{\sum P} .$$
#
# It is 1 for a single wave and 0 for a round blob, whose arrows cancel. From 0.5 on we call a kernel *striped*.


# %%
def colour_share(w):
    """One kernel, (3, h, w) -> 0 to 1."""
    grey = everything = 0.0
    for y in range(w.shape[1]):
        for x in range(w.shape[2]):
            grey += 3 * w[:, y, x].mean() ** 2
            everything += (w[:, y, x] ** 2).sum()
    return 1 - grey / everything


def strongest_wave(w, points=64):
    """One kernel, (3, h, w) -> cycles per pixel, selectivity. Zeros around it let the peak fall between pixels."""
    power = torch.fft.fft2(w, s=(points, points)).abs().square().sum(0)
    steps = torch.fft.fftfreq(points, dtype=torch.float64)
    down, right = torch.meshgrid(steps, steps, indexing="ij")
    frequency = torch.hypot(down, right).flatten()[power.argmax()]
    power[0, 0] = 0  # the mean has no direction
    arrows = power * torch.exp(2j * torch.atan2(-down, right))
    return frequency, arrows.sum().abs() / power.sum()


def deal(values, deals=4000, seed=0):
    """One number per kernel, (K,) -> how far the columns lie apart, and how far after random deals (deals,)."""
    random, half = torch.Generator().manual_seed(seed), len(values) // 2
    mixed = torch.stack([values[torch.randperm(len(values), generator=random)] for _ in range(deals)])
    apart = (mixed[:, :half].mean(1) - mixed[:, half:].mean(1)).abs()
    return (values[:half].mean() - values[half:].mean()).abs(), apart


# %% [markdown]
# ## 3 · Bridge
#
# The package's functions give the same, for all kernels at once.

# %%
kernels = network.kernels.double()
theirs = numbers.tuning(kernels)
waves = torch.tensor([strongest_wave(w) for w in kernels])
print("colour share:", torch.allclose(torch.stack([colour_share(w) for w in kernels]), theirs.colour))
print("frequency:   ", torch.allclose(waves[:, 0], theirs.frequency))
print("selectivity: ", torch.allclose(waves[:, 1], theirs.selectivity))
own, dealt = deal(theirs.colour)
p = numbers.compare_columns(theirs.colour).p
print("chance:      ", abs((dealt >= own).double().mean().item() - p) < 0.03)  # other random deals

# %% [markdown]
# And here are the kernels as numbers, a mark each:

# %%
show(*lesson.tuned(network))

# %% [markdown]
# All directions are there. And what is coloured is coarse. The kernels of Figure 3 show the same. So do our eyes, which see colour less sharply than brightness. Nobody told the network that, either.
#
# ## 4 · Run
#
# Grow your own: a smaller network, 24 kernels in each column, from noise. We keep copies of its first layer at a few steps. This takes a minute or so on two cores.


# %%
def train(net, pixels, labels, steps, keep, rate=0.01, seed=0):
    """Step -> first kernels before that step. pixels: (N, 3, 32, 32) uint8."""
    mean, std = pixels.float().mean(0), pixels.float().std()
    weights = list(net.parameters())
    velocities = [torch.zeros_like(w) for w in weights]
    random, kept = torch.Generator().manual_seed(seed), {}
    for step in range(steps + 1):
        if step in keep:
            kept[step] = net.weights("conv1").weight.detach().clone()
        batch = torch.randint(len(pixels), (128,), generator=random)
        loss = F.cross_entropy(net((pixels[batch] - mean) / std), labels[batch])
        with torch.no_grad():
            for w, v, g in zip(weights, velocities, torch.autograd.grad(loss, weights)):
                v.mul_(0.9).sub_(rate * g)
                w.add_(v)
    return kept


# %% tags=["nbval-ignore-output"]
images, seed = load_cifar10(), 0
pixels = images.train.pixels.contiguous(memory_format=torch.channels_last)
net = AlexNet(kernel_net("paper"), generator=torch.Generator().manual_seed(seed))
net = net.to(memory_format=torch.channels_last)
keep = at_scale((0, 3, 10, 30), (0, 30, 100, 300, 600, 1200), (0, 30, 100, 300, 1200, 4000))
snapshots = train(net, pixels, images.train.labels, keep[-1], keep, seed=seed)
show(*lesson.film(snapshots, images.train))

# %% [markdown]
# The noise is not overwritten but outgrown: a kernel becomes several times as large as it was. (The film cannot show that: each picture has its own contrast.) The first stripes are there within the first pass over the images (390 steps).
#
# ## 5 · Look
#
# Now the columns, as recorded: five to twenty networks for each condition. Each condition changes one thing against the first; the last three change more. *Nothing restricted* tests the test: there every layer reads both halves, so the halves mean
# nothing, and the test must find nothing. If you wrote down a guess, it is the dotted line.

# %%
show(*lesson.columns_part(record, my_clear))

# %% [markdown]
# - **The test is honest.** Where nothing is restricted, the mean lies where chance puts it.
# - **Restricted columns do part.** Their mean lies outside what chance allows. That is a finding about *many* networks together. Of most single ones nobody could say which column is the coloured one.
# - **No exchange at all** does not make the effect stronger. So what matters seems to be that the second layer reads only its own column.
# - **Larger kernels** do: 11×11, as in the paper. So do larger images; twice as many kernels, trained for longer; and the inputs, weights and normalization of 2012. Each of these brings the network nearer to the paper's in some way. (But these rows have few networks, and the last three change more than one thing, so what
#   made the difference there cannot be told.)
#
# The paper's network is far beyond all of these in images, kernels and training. Whether "every run" is true there, these networks cannot tell. Now look at single networks. **Find one where you would say at once which column is the coloured one, and one
# where you could not. Then: is there such a network under *nothing restricted*, too?**

# %% tags=["nbval-ignore-output"]
lesson.specialization_explorer(record, lesson.recorded_kernels(), frames={"seed": (9, 2)})

# %% [markdown]
# There is: among twenty, one looks clear by chance. Anyone who finds a pattern in one network, and then tests it on that same network, has tested nothing. (Colour is not all that columns could divide:
# [what else they share out](further/07_what_columns_share.ipynb).)
#
# ## 6 · What the 2012 code did
#
# - **Each column is a layer of its own**, `conv1a` and `conv1b`, with 48 kernels each. `shownet.py` draws 16 in a row: that is why Figure 3 has three rows for each column.
# - **Before run 145 there was a second path.** Each column had 32 kernels; beside them, the image, blurred and shrunk to 56×56, went straight into the second layer. Run 145 dropped that path and had 48 kernels. A blurred
#   colour image is what blobs see, so some of the new kernels may have taken over its work. (That is our inference.)
# - **conv1 stopped learning early**: in run 145 its rate was set to 0 at epoch 72 of 91.
# - **Columns that see different images** were tried: run 126 gave one GPU the mirrored image. It was given up after 19 epochs.
#
# ## 7 · Verdict

# %%
verdict(
    ["kernels", "specialization"],
    why={
        "kernels": "Stripes in all directions, coloured blobs, and colour is coarser than brightness.",
        "specialization": "Restricted columns part more than by chance, and more so the nearer a network is to the paper's; but most "
        "single networks do not show it. A network of the paper's size was not tried.",
    },
)

# %% [markdown]
# ## 8 · Exercises
#
# Replace `None` and run the cell. `hint("07.1")` helps; solutions are in `notebooks/solutions/`.
#
# **07.1** (10 minutes). One output of conv3 of the *paper's* network depends on a square of pixels, through all the layers below. How many pixels wide is it? (conv1: 11×11, stride 4. Pooling: 3×3, stride 2. conv2: 5×5. Pooling again. conv3: 3×3.)

# %%
answer_1 = None
check("07.1", answer_1)

# %% [markdown]
# **07.2** (5 minutes). A kernel has the same weights for red and for green, and none for blue. What is its colour share? (Would you have called it grey or coloured?)

# %%
answer_2 = None
check("07.2", answer_2)

# %% [markdown]
# **07.3** (10 minutes). How far do two columns lie apart *by chance*? Let the $K$ colour shares be independent with standard deviation $s$; each column has half of them. Write a function of $s$ and $K$ that returns the mean of $|\bar C_a - \bar C_b|$. (A normal
# variable with standard deviation $\sigma$ has a mean absolute value of $\sigma \sqrt{2/\pi}$.) Compare it with `dealt.mean()`.


# %%
def by_chance(s, K): ...


answer_3 = None  # by_chance
check("07.3", answer_3)

# %% [markdown]
# **07.4** (10 minutes, a bug hunt). A colleague's test finds a $p$ of 0 now and then, and a $p$ near 1 about as often. There are two mistakes. Find them, and write a function of the columns' own signed difference, `own`, and the signed differences of $n$ random deals, `null`, that
# returns an honest $p$.
#
# ```python
# own = values[:half].mean() - values[half:].mean()
# count = 0
# for _ in range(n):
#     mixed = values[torch.randperm(len(values))]
#     count += mixed[:half].mean() - mixed[half:].mean() >= own
# p = count / n
# ```


# %%
def p_value(own, null): ...


answer_4 = None  # p_value
check("07.4", answer_4)

# %% [markdown]
# **07.5** (15 minutes, hard). The differences of single networks scatter with a standard deviation of $\sigma$ around their mean, and chance gives the mean $c$. Suppose the truth is a mean of $c + \sigma/2$. How many networks must you train, so that their mean, if it comes out just as the truth is, lies above 97.5% of
# the means that chance gives? (So what can four networks tell? And one, such as the one whose kernels a paper shows?)

# %%
answer_5 = None
check("07.5", answer_5)

# %% [markdown]
# **Change it and run again.** Grow the network of section 4 at `rate=0.001`, or with `kernel_net("paper", kernel=11)`. What becomes of the stripes?
#
# **A sick patient.** Someone counts as a *blob* every kernel that is coloured ($C > 0.5$) and not striped. The share of blobs is 100% before training, and falls. What does this measure count? Which third number would mend it?
#
# **To discuss.** "On every run, whatever the random start", says the paper, and does not say how many runs there were. What would you have to see to believe it? And what to stop believing it?
#
# **Go deeper:** [Two ways to draw a kernel](further/07_two_ways_to_draw.ipynb) (and kernels of your own network) · [What else two columns share out](further/07_what_columns_share.ipynb) · [Beyond the first
# layer](further/07_beyond_the_first_layer.ipynb). **Repeat the record:** `alexnet-edu experiment specialization`. **Next:** [08](08_neighbours.ipynb), what the last hidden layer knows.
