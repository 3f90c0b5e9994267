# %% [markdown]
# # 00 · Start here: the paper in ten minutes
#
# In 2012 Alex Krizhevsky, Ilya Sutskever and Geoffrey Hinton trained a convolutional network on 1.2 million
# photographs and won the ImageNet contest: seven such networks together, two of them pre-trained on a larger
# collection, made 15.3% top-5 errors, the runner-up 26.2%. The paper, *ImageNet Classification with Deep Convolutional
# Neural Networks*, started modern deep learning. These notebooks rebuild it claim by claim. Every number stands in three columns: what the **paper** says, what the
# authors' own **2012 log** says (their source and notes were released in 2025), and what came out **here**.
#
# **The claims of this notebook** are about size (abstract, §1, §3.5): 60 million parameters, 650,000 neurons,
# 224×224 inputs, and convolutional layers that hold no more than 1% of the parameters each.
#
# **What to know first.** Nothing but Python. **Time**: ten minutes of reading, seconds of computing, at every
# scale.

# %%
import math
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from alexnet_edu import paper
from alexnet_edu.doctor import report
from alexnet_edu.environment import results_dir
from alexnet_edu.exercises.check import check, hint
from alexnet_edu.ledger.claims import CLAIMS, NOTEBOOKS
from alexnet_edu.ledger.table import table, verdict
from alexnet_edu.lessons.relu import function_explorer
from alexnet_edu.model import architecture
from alexnet_edu.model.layers import CeilConv2d
from alexnet_edu.show.network import architecture_explorer
from alexnet_edu.show.plots import NEUTRAL
from alexnet_edu.studies import record as records
from alexnet_edu.studies.figure1 import ratios_table

# %% [markdown]
# ## 1 · The network
#
# Eight layers have weights: five convolutions and three fully connected ones. Two GPUs hold one half each, the
# two **columns**. They exchange their maps only before the third convolution and in the fully connected layers.
#
# | layer | what it does | after it |
# |---|---|---|
# | conv1 | 96 kernels 11×11, stride 4, on 224×224 RGB | ReLU, normalization, 3×3 pooling with stride 2 |
# | conv2 | 256 kernels 5×5, each sees its own column | ReLU, normalization, pooling |
# | conv3 | 384 kernels 3×3, each sees both columns | ReLU |
# | conv4 | 384 kernels 3×3, own column | ReLU |
# | conv5 | 256 kernels 3×3, own column | ReLU, pooling |
# | fc6, fc7 | 4096 units each | ReLU, dropout |
# | fc8 | 1000 classes | softmax |
#
# What was new, in the order of the paper's own ranking: **ReLU** units (§3.1), **two GPUs** (§3.2), **local response
# normalization** (§3.3), **overlapping pooling** (§3.4). Against overfitting: **crops, reflections and colour PCA**
# (§4.1), **dropout** (§4.2).
#
# ### Predict
#
# **Which layer holds the most parameters, and which one does the most work?** Write both down before you go on.

# %%
most_parameters = None  # for example "conv3"
most_multiply_adds = None  # for example "conv3"

# %% [markdown]
# ## 2 · Derive: counting
#
# A kernel of a convolution has one weight for each pixel of its window in each channel it sees, and one bias. It is
# used once at each place of the output map. So a layer with $K$ kernels of side $s$ on $C$ channels and an output
# of side $n$ has
#
# $$\text{parameters} = K (s^2 C + 1), \qquad \text{neurons} = K n^2, \qquad \text{multiply-adds} = K n^2 \cdot s^2 C .$$
#
# A fully connected layer is the same with $s = n = 1$. In conv2, conv4 and conv5 a kernel sees only the channels of
# its own column, half of them.


# %%
def count(kernels, side, channels, n):
    """(parameters, neurons, multiply-adds) of one layer."""
    return kernels * (side**2 * channels + 1), kernels * n**2, kernels * n**2 * side**2 * channels


def output_side(n, side, stride, rounding):
    return 1 + rounding((n - side) / stride)


n1 = output_side(224, 11, 4, math.ceil)  # 55: the authors' code rounds up
n2 = output_side(n1, 3, 2, math.ceil)  # 27, and 13 after the second pooling
by_hand = {
    "conv1": count(96, 11, 3, n1),
    "conv2": count(256, 5, 96 // 2, n2),
    "conv3": count(384, 3, 256, 13),
}
by_hand |= {"conv4": count(384, 3, 384 // 2, 13), "conv5": count(256, 3, 384 // 2, 13)}
by_hand |= {
    "fc6": count(4096, 1, 256 * 6 * 6, 1),
    "fc7": count(4096, 1, 4096, 1),
    "fc8": count(1000, 1, 4096, 1),
}

# %% [markdown]
# ## 3 · Bridge
#
# The package keeps the same table in `alexnet_edu.paper`, next to all other published numbers.

# %%
for layer in paper.LAYERS:
    assert by_hand[layer.name] == (layer.parameters, layer.neurons, layer.multiply_adds), layer.name
total = sum(layer.parameters for layer in paper.LAYERS)
work = sum(layer.multiply_adds for layer in paper.LAYERS)
neurons = sum(layer.neurons for layer in paper.LAYERS)
print(f"{total:,} parameters, {neurons:,} neurons, {work:,} multiply-adds per image")

# %% [markdown]
# ## 4 · Run and look
#
# Counting needs no seeds: the result is exact, at every scale.

# %%
figure, ax = plt.subplots(figsize=(8, 3.6))
names, places = [layer.name for layer in paper.LAYERS], range(len(paper.LAYERS))
bars = {"parameters": (-0.2, "#0072B2", ""), "multiply-adds": (0.2, "#E69F00", "///")}
for what, (offset, color, hatch) in bars.items():
    values = [
        getattr(x, what.replace("-", "_")) / (total if what == "parameters" else work) for x in paper.LAYERS
    ]
    ax.bar([p + offset for p in places], [100 * v for v in values], 0.4, label=what, color=color, hatch=hatch)
ax.axhline(
    100 * paper.CONV_SHARE_LIMIT, color=NEUTRAL, linestyle=":", label="1%, §1's limit for convolutions"
)
ax.set(ylabel="share of the network (%)", title="Where the parameters are, and where the work is")
ax.set_xticks(places, names)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# **How to read it.** The parameters sit in the fully connected layers, the work is in the convolutions: conv2 alone
# does a third of it with half a percent of the parameters. (The paper
# splits the network over two GPUs for another reason, their memory: §3.2 and notebook 05.) The dotted line is §1's statement that no convolution holds more than 1% of the parameters. conv3 and conv4
# do hold more.

# %%
for layer in paper.LAYERS:
    share, load = layer.parameters / total, layer.multiply_adds / work
    sizes = f"{layer.parameters:>12,} parameters {share:6.2%}   {layer.multiply_adds:>12,} multiply-adds {load:5.1%}"
    print(f"{layer.name}: {sizes}")

# %% [markdown]
# ### Every layer, to the last parameter
#
# This widget shows the whole network and everything about one of its layers. Move the slider from conv1 to fc8. Then
# choose another network: **run 145** is what the authors' code really computed, **one GPU** is the half network of
# §3.2, and the last one has the kernels of the paper but no columns. (In JupyterLab the controls are live; elsewhere
# you see one setting.)

# %%
architecture_explorer()

# %% [markdown]
# **How to read it.** Two rows are two columns. A layer with straight lines reads its own column, a layer with crossing
# lines reads both. Below are the shares of all layers and, on the right, the counts of section 2 for the chosen
# layer. Compare conv2 with and without columns: where it reads everything it has twice as many weights and does twice
# the work, but the network as a whole grows by 2% only, because the parameters sit in fc6 and fc7. The half network
# for one GPU is nearly as large, for the same reason: conv5 gives fc6 as many maps in both. Run 145 has the same
# numbers as the paper; it differs in the steps after its convolutions and in how weights start.

# %%
parameters = {
    name: sum(layer.parameters for layer in architecture.count(architecture.variant(name)))
    for name in architecture.VARIANTS
}
for name, number in parameters.items():
    print(f"{name:<10} {number:,} parameters")
assert parameters["paper"] == parameters["run145"] == total == 60_965_224
assert parameters["one_gpu"] == 59_798_312
assert parameters["ungrouped"] == 62_378_344

# %% [markdown]
# ### One unit
#
# A unit adds up its inputs to $z$ and applies $f$. When the network learns, the gradient is multiplied by the slope
# $f'(z)$. Move the slider: how large may the inputs become before a tanh unit stops passing gradients? Then choose
# ReLU. Notebook 01 is about this picture.

# %%
function_explorer()

# %% [markdown]
# ## 5 · What the 2012 code did
#
# The paper's own numbers do not quite fit together. The source says what was really computed.
#
# - **224 or 227?** $(224 - 11)/4 = 53.25$ does not come out even. The code rounds **up** (`layer.py`), to 55 places
#   instead of 54; the last window hangs over the edge by three pixels, which count as
#   zeros. No padding is configured, and no 227 appears. The next cells compare this with what others do.
# - **253,440 neurons** in the first layer are $55 \cdot 48 \cdot 96$, but the layer has $55 \cdot 55 \cdot 96 = 290{,}400$. It looks
#   like a slip. With the right number the sum is 659,272, near the 650,000 of the abstract.

# %%
print(
    "rounded down:",
    output_side(224, 11, 4, math.floor),
    " rounded up:",
    n1,
    " last pixel read:",
    (n1 - 1) * 4 + 11,
)
assert torch.nn.Conv2d(3, 96, 11, 4)(torch.zeros(1, 3, 224, 224)).shape[-1] == 54  # PyTorch rounds down
assert torch.nn.Conv2d(3, 96, 11, 4)(torch.zeros(1, 3, 227, 227)).shape[-1] == 55  # so PyTorch needs 227

# %% [markdown]
# Four ways give 55 places. **(a)** The package's `CeilConv2d` does what the 2012 code did. **(b)** Others crop 227
# pixels instead of 224. **(c)** torchvision's `alexnet` pads two zeros on each side. **(d)** One can add the three
# zeros oneself. The same 96 kernels see the same image in all four. At how many places do all 96 outputs agree with
# (a)?

# %%
generator = torch.Generator().manual_seed(0)
crop227 = torch.randint(256, (1, 3, 227, 227), generator=generator) - 128.0  # 0–255 minus the mean
image = crop227[..., :224, :224]
kernels = paper.INIT_STD * torch.randn(96, 3, 11, 11, generator=generator)
ceil_rule = CeilConv2d(3, 96, 11, stride=4, bias=False)
ceil_rule.weight = torch.nn.Parameter(kernels, requires_grad=False)

ways = {
    "(a) the authors' rule": ceil_rule(image),
    "(b) crops of 227 pixels": F.conv2d(crop227, kernels, stride=4),
    "(c) padding by 2": F.conv2d(image, kernels, stride=4, padding=2),
    "(d) three zeros at the right and bottom": F.conv2d(F.pad(image, (0, 3, 0, 3)), kernels, stride=4),
}
a, b, c, d = ways.values()


def agreeing(x, y):
    """(55, 55): at which places all 96 outputs, whose standard deviation is 14, are the same but for rounding."""
    return ((x - y).abs() < 1e-3).all(dim=1)[0]


for way, maps in ways.items():
    print(f"{way:<40} {maps.shape[-1]}×{maps.shape[-1]} places, {agreeing(a, maps).sum()} of them as in (a)")
assert all(maps.shape[-2:] == (55, 55) for maps in ways.values())
assert F.conv2d(image, kernels, stride=4).shape[-2:] == (54, 54)  # rounded down, without zeros
assert torch.equal(a, d)
inside = torch.zeros(55, 55, dtype=torch.bool)
inside[:54, :54] = True
assert torch.equal(agreeing(a, b), inside)
assert not agreeing(a, c).any()

# %% [markdown]
# **How to read it.** (a) and (d) are the same computation. (b) agrees at 54·54 = 2916 of the 55·55 = 3025 places: only
# the windows of the last row and column reach the three pixels that (a) does not have. (c) agrees nowhere, because
# every window lies two pixels further up and to the left. So weights that were trained in one way see a slightly
# other image in another.

# %%
published = sum(paper.FIGURE2_NEURONS)
print(
    f"published layers sum to {published:,}; with 55·55·96 first: {published - 55 * 48 * 96 + 55 * 55 * 96:,}"
)

# %% [markdown]
# ## 6 · The map
#
# Each notebook takes one group of claims. It asks for your prediction, derives the subject in at most ten lines, runs
# it with several seeds, and ends with a verdict.

# %% tags=["nbval-ignore-output"]
here = sorted(p.stem for p in [*Path().glob("0*.ipynb"), *Path().glob("1*.ipynb")])
for number, title in NOTEBOOKS.items():
    claims = [c.id for c in CLAIMS if c.notebook == number]
    ready = "ready" if any(name.startswith(number) for name in here) else "to come"
    print(f"{number}  {title:<50} {ready:<8} {', '.join(claims)}")
assert "00_start_here" in here

# %% [markdown]
# ### What *recorded* means
#
# Some experiments take hours on a laptop. They were run once, with several seeds, by the same code that runs here, and
# their results are files in `data/results`, with the commit, the hardware and the date. A figure made from them says
# **recorded** in its title. Everything else was computed when the cell ran. No result of an experiment was typed by
# hand. Here is one record:

# %%
record = records.load("figure1")
print(record.origin(""))
print(ratios_table(record.tables["ratios"]))

# %% [markdown]
# ### Your machine
#
# One word, `ALEXNET_EDU_SCALE`, says how much work a notebook does: `quick` (seconds), `laptop` (minutes on two cores,
# the default), `gpu`, `paper`. Nothing needs a GPU, except full ImageNet training. Nothing needs the internet: without
# CIFAR-10 a synthetic stand-in takes its place, and every figure made from it says so. The doctor looks at what
# you have:

# %% tags=["nbval-ignore-output"]
findings = report()
assert "torch" in findings
print(findings)

# %% [markdown]
# ## 7 · Exercises
#
# Type your answer in place of `None` and run the cell. `hint("00.1")` gives a hint; solutions are in
# `notebooks/solutions/`.
#
# **00.1** (3 minutes, easy). Write ReLU for a tensor without calling `torch.relu`.

# %%
answer_1 = None  # a function: lambda z: ...
check("00.1", answer_1)

# %% [markdown]
# **00.2** (5 minutes, medium). For which positive $z$ is the slope of tanh just 0.05? (Read it off the widget, or
# solve for it.)

# %%
answer_2 = None
check("00.2", answer_2)

# %% [markdown]
# **00.3** (5 minutes, easy). How many parameters would conv2 have if each of its kernels saw both columns?

# %%
answer_3 = None
check("00.3", answer_3)

# %% [markdown]
# **00.4** (5 minutes, medium). Images of 256×256 go into conv1 as it is. What is the side of its output, by the
# rule of the 2012 code?

# %%
answer_4 = None
check("00.4", answer_4)

# %% [markdown]
# ## 8 · Verdict

# %%
verdict(
    ["size-params", "size-neurons", "fig2-neurons", "conv-share", "size-224"],
    why={
        "size-params": "exact; the paper rounds",
        "size-neurons": "the published list holds a slip; corrected it comes near 650,000",
        "fig2-neurons": "253,440 = 55·48·96 stands where 55·55·96 = 290,400 belongs",
        "conv-share": "true for conv1, conv2 and conv5, not for conv3 and conv4",
        "size-224": "the 2012 code rounds sizes up; PyTorch rounds down and needs 227 pixels or padding",
    },
)

# %%
shares = {layer.name: layer.parameters for layer in paper.LAYERS}
loads = {layer.name: layer.multiply_adds for layer in paper.LAYERS}
for mine, values, what in (
    (most_parameters, shares, "parameters"),
    (most_multiply_adds, loads, "multiply-adds"),
):
    if mine is not None:
        best = max(values, key=values.get)
        print(f"most {what}: {best}; you said {mine}")

# %% [markdown]
# The whole ledger, all claims of the paper: `alexnet-edu claims` in a terminal, or `print(table())`. One section of
# it:

# %%
print(table(section="3.1"))

# %% [markdown]
# **Next**: [01 · ReLU against tanh](01_relu_vs_tanh.ipynb).
