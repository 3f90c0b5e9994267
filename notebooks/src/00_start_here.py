# %% [markdown]
# # 00 · Start here: the network that started it, in twenty lines
#
# **The claims** (abstract, §3.5). In 2012 Alex Krizhevsky, Ilya Sutskever and Geoffrey Hinton trained a network of eight layers to name
# what is in a photograph. It reads 224×224 pixels and has 60 million parameters and 650,000 neurons.
#
# **The answer.** You will build it in twenty lines, send a photograph through it, and count. 60 million is right, and one number in the paper
# looks like a slip.

# %% tags=["nbval-ignore-output"]
import torch
from torch import nn

from alexnet_edu.lessons import start as lesson
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.notebook import check, hint, show, verdict
from alexnet_edu.show.network import architecture_explorer
from alexnet_edu.show.photograph import photograph

show(*lesson.top_five())

# %% [markdown]
# Below each image are the five labels that a network finds most probable. A longer bar is more probable, and orange is right. This network is a tiny
# relative of the paper's, trained on 50,000 small images of ten classes. It ships with these lessons, so it works offline. The portrait is of Grace Hopper, a
# pioneer of programming. The network has no word for a person. (Lesson 08 comes back to that.)
#
# The real one knew 1000 words. An average of seven such networks won the ImageNet contest of 2012 with a *top-5 error* of 15.3%: for 15.3% of the
# photographs the right word was not among the first five. The runner-up had 26.2%.
#
# **Know first:** a little Python. **Time:** 30 minutes (the computing takes seconds), and 40 minutes of exercises.
#
# ## 1 · Predict
#
# Five layers of the network are convolutions, three are fully connected. The convolutions made it famous. **What share of the 60 million
# parameters do the five convolutions hold?** Write down a guess, and why.

# %%
my_share = None  # for example 0.5

# %% [markdown]
# ## 2 · Build
#
# A *convolution* slides small windows of weights, its kernels, over the image; each kernel makes a map of where it found what it looks for.
# *ReLU* replaces negative numbers by 0. *Pooling* keeps the largest number of each 3×3 window. In a *fully connected* layer every unit weighs
# all the numbers of the layer below.
#
# Each of two GPUs held half of the kernels: one **column** of the network. In conv2, conv4 and conv5 a kernel sees only the maps of its own column: that is
# `groups=2`. conv3 and the fully connected layers read both. Two steps need a few lines of their own: normalization (lesson 02), and dropout as it was in 2012
# (lesson 09).


# %%
class Norm(nn.Module):  # over five maps of a column (§3.3); PyTorch divides α by 5
    def forward(self, x):
        columns = [nn.functional.local_response_norm(c, 5, 5 * 1e-4, 0.75, k=2.0) for c in x.chunk(2, 1)]
        return torch.cat(columns, 1)


class Dropout(nn.Module):  # half of the outputs, or all of them halved (§4.2)
    def forward(self, x):
        return x * (torch.rand_like(x) < 0.5) if self.training else x / 2


net = nn.Sequential()
net.pad = nn.ZeroPad2d((0, 3, 0, 3))  # why? See section 6
net.conv1 = nn.Sequential(nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), Norm(), nn.MaxPool2d(3, 2))
net.conv2 = nn.Sequential(nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), Norm(), nn.MaxPool2d(3, 2))
net.conv3 = nn.Sequential(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU())
net.conv4 = nn.Sequential(nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU())
net.conv5 = nn.Sequential(nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2))
net.flat = nn.Flatten()
net.fc6 = nn.Sequential(nn.Linear(256 * 6 * 6, 4096), nn.ReLU(), Dropout())
net.fc7 = nn.Sequential(nn.Linear(4096, 4096), nn.ReLU(), Dropout())
net.fc8 = nn.Sequential(nn.Linear(4096, 1000))

# %% [markdown]
# The last layer has 1000 outputs, one for each class, and no ReLU: a softmax turns them into probabilities. (Some summaries say 4096 and a ReLU.)
#
# ## 3 · Bridge
#
# The package's network is the same. Give both the same weights:

# %%
theirs = AlexNet("paper", generator=torch.Generator().manual_seed(0)).eval()
net.eval()
with torch.no_grad():
    for mine, other in zip(net.parameters(), theirs.parameters(), strict=True):
        mine.copy_(other)
    image = photograph()[None, :, 16:240, 16:240] - 120.0  # (1, 3, 224, 224)
    print("the same 1000 outputs:", torch.allclose(net(image), theirs(image), rtol=1e-3, atol=1e-4))

# %% [markdown]
# ## 4 · Run
#
# One photograph through the network, layer by layer. The numbers are (images, maps, height, width), after pooling where there is pooling.

# %%
x = image
with torch.no_grad():
    for name, layer in net.named_children():
        x = layer(x)
        print(name, tuple(x.shape))

# %% [markdown]
# The maps get smaller, and up to conv4 there are more of them: less *where*, more *what*. At the end there are 1000 numbers. They mean nothing yet, since the
# weights are random. Training them took five to six days on two GPUs (lesson 06).
#
# Now count. A kernel has one weight for each pixel of its window in each map that it sees, and one bias. It is used once at each place of its
# output. So a convolution of $K$ kernels of side $s$ that see $C$ maps, with an output of side $n$ (before pooling: 55 in conv1, 27 in conv2), has
#
# $$\text{parameters} = K (s^2 C + 1), \qquad \text{neurons} = K n^2, \qquad \text{multiply-adds} = K s^2 C \cdot n^2 .$$
#
# A fully connected layer is the same with $s = n = 1$: $K$ units that see $C$ numbers each.

# %%
sides = {"conv1": 55, "conv2": 27, "conv3": 13, "conv4": 13, "conv5": 13, "fc6": 1, "fc7": 1, "fc8": 1}
counts = {}
for name, n in sides.items():
    weights, biases = net.get_submodule(name)[0].parameters()  # (K, C, s, s) or (K, C), and (K,)
    counts[name] = (weights.numel() + biases.numel(), len(biases) * n**2, weights.numel() * n**2)
parameters, neurons, multiply_adds = map(sum, zip(*counts.values()))
print(f"{parameters:,} parameters, {neurons:,} neurons, {multiply_adds:,} multiply-adds for one image")

# %% [markdown]
# ## 5 · Look
#
# If you wrote down a guess, it is the dotted line.

# %%
show(*lesson.where_they_are(counts, my_share))

# %% [markdown]
# A weight of a convolution works hard: it is used again at every place of the map. A weight of fc6 is used once. So the parameters are in the
# fully connected layers, and the work is in the convolutions. fc6 and fc7 have the most to overfit with, and that is where dropout is (lesson 09).
# And the two GPUs, which split the layers, send each other maps. That is less to send than 60 million gradients at every step (lesson 05).
#
# §1 adds one more claim: no convolution holds more than 1% of the parameters.

# %%
show(*lesson.against_one_percent(counts))

# %% [markdown]
# Now look at the columns. **Choose another network.** "The paper's kernels in one column" lets every kernel see all maps. How many parameters does conv2 gain?
# How many does the whole network, and why so few?

# %% tags=["nbval-ignore-output"]
architecture_explorer(frames={"variant": ("paper", "ungrouped")})

# %% [markdown]
# The two rows are the two columns. Straight arrows stay in a column, crossing arrows lead to the other one. (*Units* are neurons.)
#
# ## 6 · What the 2012 code did
#
# The paper's own numbers do not quite fit together. The authors' source, released in 2025, says what was computed.
#
# **224 or 227?** Many tutorials say that the input must be 227 pixels wide. §3.5 says 224, and $(224 - 11)/4$ is not a whole number.

# %%
show(*lesson.last_windows())

# %% [markdown]
# PyTorch rounds *down* and would leave the last window out. The code of 2012 rounds **up**: three missing pixels count as zeros. That is our
# `ZeroPad2d`. ([224 or 227?](further/00_224_or_227.ipynb) compares four ways to get 55 places.)
#
# **253,440 neurons** in the first layer, says §3.5. That is $55 \cdot 48 \cdot 96$, and the layer has $55 \cdot 55 \cdot 96 = 290{,}400$. With the
# right number the layers sum to what we counted.
#
# **Not to be confused:**
# - `torchvision.models.alexnet` is a later network, of 2014: other kernels, no normalization, no columns (exercise 00.2).
# - ImageNet has over 15 million images in about 22,000 categories. The network was trained on the contest's share of it, 1.2 million in 1000. (Two of the
#   seven in the winning average had seen more before: lesson 11.)
# - It won in 2012. It was not in the contest of 2010: the paper also measures it on the test images of *that* contest because their labels are public.
#
# ## 7 · Verdict

# %%
verdict(
    ["size-params", "size-neurons", "fig2-neurons", "conv-share", "size-224"],
    why={
        "size-params": "Exact; the paper rounds.",
        "size-neurons": "The published list sums to less; with its first entry corrected it comes near 650,000.",
        "fig2-neurons": "253,440 = 55·48·96 stands where 55·55·96 = 290,400 belongs.",
        "conv-share": "True for conv1, conv2 and conv5, not for conv3 and conv4.",
        "size-224": "The 2012 code rounds sizes up; PyTorch rounds down, so it needs padding or 227 pixels.",
    },
)

# %% [markdown]
# Every lesson has such a table: what the **paper** says, what the authors' **2012 log** says, and what came out **here**. `!alexnet-edu claims` in
# a cell shows them all.
#
# **How the lessons work.** [01](01_relu_vs_tanh.ipynb) ReLU · [02](02_local_response_norm.ipynb) normalization · [03](03_overlapping_pooling.ipynb)
# pooling · [04](04_color_pca_and_crops.ipynb) more images from few · [05](05_two_gpus.ipynb) two GPUs · [06](06_imagenet_training.ipynb) the full training ·
# [07](07_kernels.ipynb) what kernels become · [08](08_neighbours.ipynb) what the network finds alike · [09](09_dropout.ipynb) dropout ·
# [10](10_initialization.ipynb) how to start · [10b](10b_update_rule.ipynb) how to step · [11](11_results.ipynb) the results ·
# [13](13_ledger.ipynb) what of all this holds. 00 and 01 come first;
# the others stand alone, or say what they need.
# - Long experiments were run once, and their results are files with seeds, date and hardware. A figure made from them says **recorded**. Everything else
#   was computed when the cell ran.
# - `ALEXNET_EDU_SCALE` says how much work a notebook does: `quick` (seconds), `laptop` (minutes, the default), `gpu`, `paper`.
# - No GPU and no internet are needed. Without CIFAR-10 a synthetic stand-in takes its place, and the figures say so. `!alexnet-edu doctor` says what
#   works on your machine.
#
# ## 8 · Exercises
#
# Replace `None` and run the cell. `hint("00.1")` helps; solutions are in `notebooks/solutions/`.
#
# **00.1** (5 minutes). A network that knows nothing gives each of the 1000 classes the same probability. What is its loss, $-\ln p$ of the right class? (Then
# compare with the mean over all classes here: `-net(image).log_softmax(1).mean()`.)

# %%
answer_1 = None
check("00.1", answer_1)

# %% [markdown]
# **00.2** (10 minutes, change it and count again). torchvision's `alexnet` has no columns, no normalization, and kernels 64–192–384–256–256 in place of
# 96–256–384–384–256; the rest is as here. Change `net` and count again. How many parameters does it have? (More than the paper's, or fewer? Did you
# expect that?)

# %%
answer_2 = None
check("00.2", answer_2)

# %% [markdown]
# **00.3** (10 minutes, a sick patient). A student leaves the line `net.pad = …` out. The network stops at fc6 with an error about shapes. They make fc6 fit
# what arrives, and it runs. How many parameters has their network *lost*? (Work out the sides of the maps, layer by layer. PyTorch rounds down in
# pooling, too.)

# %%
answer_3 = None
check("00.3", answer_3)

# %% [markdown]
# **00.4** (15 minutes, hard). Images of 448×448 go into the same convolutions, by the rule of the 2012 code. By what factor do the multiply-adds of the *five convolutions*
# grow, and by what factor the parameters of *fc6*? One is near 4. Is the other?

# %%
answer_4 = None  # a pair: (factor of the multiply-adds, factor of fc6's parameters)
check("00.4", answer_4)

# %% [markdown]
# **To discuss.** 60 million parameters, 1.2 million photographs. A student says: "It can simply learn the photographs by heart." What would you measure to find
# out whether it does? (Lessons 04 and 09 measure it.)
#
# **Go deeper:** [224 or 227?](further/00_224_or_227.ipynb). **Next:** [01](01_relu_vs_tanh.ipynb), ReLU against tanh.
