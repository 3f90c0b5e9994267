# %% [markdown]
# # 05 · Two GPUs: one network in two columns
#
# **The claims** (§3.2). A GTX 580 has 3 GB of memory, too little for the network, so it is spread over two GPUs with half of the
# kernels each. They communicate only in certain layers. Compared with a network of half as many kernels on one GPU, this lowers the top-1 and top-5
# errors by 1.7 and 1.2 points, and even takes slightly less time.
#
# **The answer.** The network is 4% too large for the card. And each of the two GPUs really has less to do than the one with the half network: you
# will count it and time it. The 1.7 points need ImageNet.

# %%
import time

import torch
import torch.nn.functional as F

from alexnet_edu.lessons import two_gpus as lesson
from alexnet_edu.model.alexnet import AlexNet, split_columns
from alexnet_edu.model.layers import local_response_norm
from alexnet_edu.notebook import at_scale, check, hint, load, show, verdict
from alexnet_edu.two_gpus import traffic

record = load("exchange")
show(*lesson.split())

# %% [markdown]
# Black arrows lead from one GPU to the other. So conv3 and the fully connected layers read both columns; conv2, conv4 and conv5 read only their own. (Some
# summaries say that 3, 4 and 5 are split. It is 2, 4 and 5.)
#
# Most of the memory is not weights. To compute gradients, training must keep the outputs of every step of every layer, for all 128 images. (The other parts of the bars: [further](further/05_three_gigabytes.ipynb).) By this
# estimate 120 images would have fitted. So "too large" is true, but only just.
#
# **Know first:** lesson 00, how parameters and multiply-adds are counted. **Time:** 45 minutes, one of them computing, and 50 minutes of exercises.
#
# ## 1 · Predict
#
# One GPU trains the half network: half of the kernels in every convolution but the last; the last one and the fully connected layers are whole. Say one step takes the
# time 1. **Now two GPUs train the whole network, and every layer reads both columns, as in an ordinary network. How long does a step take?** Ignore the copying.
# Which layers read more than in the paper, and how much of the work is theirs?

# %%
my_time = None  # for example 2.0

# %% [markdown]
# ## 2 · Derive
#
# **A column is a group.** Let each kernel read only the maps of its own half, and a layer splits into two layers that know nothing about each other. PyTorch calls
# this a *grouped convolution*:


# %%
def two_columns(x, w, b, talk):
    """x: (N, C, H, W). w: (K, C or C/2, 3, 3), the kernels of column 1, then those of column 2."""
    halves, outputs = x.chunk(2, 1), []
    for column in (0, 1):
        read = x if talk else halves[column]
        outputs.append(F.conv2d(read, w.chunk(2)[column], b.chunk(2)[column], padding=1))
    return torch.cat(outputs, 1)  # (N, K, H, W)


x, own, both = (torch.randn(12, c, 3, 3, generator=torch.Generator().manual_seed(c)) for c in (8, 4, 8))
b = torch.zeros(12)
grouped = F.conv2d(x, own, b, padding=1, groups=2)
print(
    "columns that do not talk = groups:  ", torch.allclose(two_columns(x, own, b, False), grouped, atol=1e-5)
)
plain = F.conv2d(x, both, b, padding=1)
print("columns that talk = an ordinary one:", torch.allclose(two_columns(x, both, b, True), plain, atol=1e-5))

# %% [markdown]
# So columns are not data parallelism, where each GPU has the whole network and half of the images. Here every image goes to both GPUs, and each weight lives on one: *model
# parallelism*.
#
# **The bytes.** A layer that talks must fetch the other half of its input. With $C$ input maps of $n \times n$ and $N$ images, each column sends
# the other
#
# $$4 \cdot N \cdot \tfrac{C}{2} \cdot n^2 \ \text{bytes}$$
#
# in float32, and on the way back just as many bytes of gradients.
#
# **The forward pass, exchanges by hand.** A layer of one column knows nothing about the other. Whatever crosses goes through `exchange`, and is counted.

# %%
STRIDES, PADDING = {"conv1": 4}, {"conv2": 2, "conv3": 1, "conv4": 1, "conv5": 1}
TALK, sent = ("conv3", "fc6", "fc7", "fc8"), {}


def layer(name, x, w, b):
    """One layer of one column, as at test time (§3.5): what it reads -> what it makes."""
    if name == "fc8":
        return F.linear(x, w, b)
    if name.startswith("fc"):
        return 0.5 * F.relu(F.linear(x.flatten(1), w, b))  # the 0.5 is dropout at test time
    x = F.relu(F.conv2d(x, w, b, STRIDES.get(name, 1), PADDING.get(name, 0)))
    if name in ("conv1", "conv2"):
        x = local_response_norm(x)  # within the column
    return F.max_pool2d(x, 3, 2) if name in ("conv1", "conv2", "conv5") else x


def exchange(name, halves):
    """Each column gets a copy of the other's half: both read everything."""
    sent[name] = [half.numel() * half.element_size() for half in halves]
    return [torch.cat(halves, 1), torch.cat(halves, 1)]


def forward(columns, images):
    """columns: the two halves of the weights. images: (N, 3, 224, 224) -> (N, 1000)."""
    halves = [F.pad(images, (0, 3, 0, 3))] * 2  # each GPU has every image; 227 pixels, see lesson 00
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"):
        if name in TALK:
            halves = exchange(name, halves)
        halves = [
            layer(name, x, w[f"stages.{name}.weights.weight"], w[f"stages.{name}.weights.bias"])
            for x, w in zip(halves, columns)
        ]
    return torch.cat(halves, 1)


# %% [markdown]
# ## 3 · Bridge
#
# Cut the weights of the package's network, which is one network with groups, into two halves. Is it the same network? And did as many bytes cross as the formula says?

# %%
whole = AlexNet("paper", generator=torch.Generator().manual_seed(0)).eval()
images = 60 * torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
with torch.no_grad():
    logits = forward(split_columns(whole.state_dict()), images)
    print("the same logits:", torch.allclose(logits, whole(images), atol=1e-4))
print(
    "the same bytes: ",
    {name: a for name, (a, b) in sent.items()} == traffic.sent_each_way(whole.architecture, 2),
)

# %% [markdown]
# (The gradients are equal, too, and [two real processes](further/05_two_processes.ipynb) give the same.) Now the bytes of a whole step, forward and back. Why talk at
# conv3, and not at conv2?

# %%
show(*lesson.sent_by_layer())

# %% [markdown]
# At conv3 the maps have just been pooled to 13×13. At conv2 there are fewer of them, but each is more than four times as large; at conv4 and
# conv5 there are half as many again. And 30 MB is little: at the 6 GB/s that we assume for 2012 it takes 5 ms, about 1% of a step by our estimate. (The sum includes 1 MB for the classifier, which lay on GPU 0 alone.)
#
# So the traffic would have allowed more. What talking *everywhere* costs is something else: a kernel that reads twice as many maps needs twice as many
# weights and does twice the work.
#
# ## 4 · Run
#
# Now the claim about time. Three networks at full width take a few training steps: the half network on one device; the paper's two columns; two columns that always
# read both. Here a device is one thread. The two columns take turns on it, so each gets half of the time. We count processor seconds, which hardly depend on what else
# your computer is doing.


# %%
def step_seconds(net, images, labels, steps, rate=1e-6):
    """Processor seconds of each training step but the first."""
    weights = list(net.parameters())
    velocities, seconds = [torch.zeros_like(w) for w in weights], []
    for _ in range(steps):
        start = time.process_time()
        gradients = torch.autograd.grad(F.cross_entropy(net(images), labels), weights)
        with torch.no_grad():
            for w, v, g in zip(weights, velocities, gradients):
                v.mul_(0.9).add_(g, alpha=-rate)
                w.add_(v)
        seconds.append(time.process_time() - start)
    return seconds[1:]


# %% tags=["nbval-ignore-output"]
batch, divisor, steps = at_scale((2, 8, 3), (32, 1, 5), (64, 1, 9))
images, labels = torch.randn(batch, 3, 224, 224), torch.zeros(batch, dtype=torch.int64)
threads, seconds = torch.get_num_threads(), {}
torch.set_num_threads(1)
for name, devices in {"half": 1, "columns": 2, "joint": 2}.items():
    net = lesson.timed_network(name, divisor)  # divisor 1: the full width
    seconds[name] = [s / devices for s in step_seconds(net, images, labels, steps)]
torch.set_num_threads(threads)
show(*lesson.step_times(seconds, my_time))

# %% [markdown]
# **A column has less to do than the half network**, although it is half of a network that is twice as wide. The reason stands in a footnote: the half network keeps its
# *last* convolution and its fully connected layers whole. In multiply-adds of the convolutions the two are equal to the last digit: what a column pays for reading both halves
# at conv3, the half network pays for its larger conv5. What remains is fc6 and fc7, of which a column computes half.
#
# Columns that always read both do twice the work in conv2, conv4 and conv5, and lose the race. The measured ratios are smaller than those of the multiply-adds, probably because
# updating the weights takes time, too, and a column has only about half as many weights as the half network.
#
# ## 5 · Look
#
# Does talking less cost accuracy? A small version, recorded: four convolutions in two columns on CIFAR-10. Where columns talk, kernels have more weights; so the layers are made
# narrower, until all patterns have the same number of parameters, within 1%. All have the *same* learning rate. (The half network has 40% fewer parameters; in the paper it has almost as many as the whole.)

# %%
show(*lesson.patterns_at_one_rate(record))

# %% [markdown]
# With three seeds and four epochs this experiment cannot tell the patterns apart, not even from columns that do not talk before the classifier. On ImageNet the authors could: of all
# patterns that their log judges, conv3 is best, and no talking before the classifier (run 150) costs 1.16 and 1.12 points. The half
# network is behind, as in the paper, but its seeds scatter widely. (The learning rates matter more than the patterns: [how a short search invents three points](further/05_one_rate_for_all.ipynb).)
#
# Now take the paper's own network. **Untick everything: what do columns that meet only at the classifier save, and what could they lose? Then tick everything.** What grows most: the
# parameters, the work, or the share of copying?

# %% tags=["nbval-ignore-output"]
lesson.exchange_explorer(frames={"conv4": (False, True)})

# %% [markdown]
# ## 6 · What the 2012 code did
#
# - **Copies went directly** from GPU to GPU where the hardware allowed it: one GPU reads the other's memory. Otherwise they went through the host's.
# - **Normalization stays in its column.** §3.3 speaks of adjacent kernel maps; in the code the window ends at the border of the GPU, so four of the 96 maps of conv1 have fewer
#   neighbours.
# - **Many patterns were tried**: no talking at conv3, with wider layers instead (run 127), talking at conv4 instead (132) or at both (133). The notes call all of them worse than their baselines, which talk at conv3.
#   This is what §3.2 calls a problem for cross-validation; only run 150 has numbers.
#
# **Would more talking be better today?** Links are faster, so traffic would rarely forbid it. But a network that fits on one device is no longer split like this, and larger ones are split in other ways. What
# has stayed is the grouped convolution, as a cheap layer.
#
# ## 7 · Verdict

# %%
verdict(
    ["memory-3gb", "two-gpu-gain", "two-gpu-time", "two-gpu-comm", "connectivity"],
    why={
        "memory-3gb": "4% too much at 128 images, in the code as it was.",
        "two-gpu-gain": "The half network is behind, but three seeds leave an interval that holds 0.",
        "two-gpu-time": "The half network keeps its last convolution and its fully connected layers whole, so a "
        "column has less to do.",
        "two-gpu-comm": "The program counts what the formula says.",
        "connectivity": "At one rate and equal parameters, three seeds cannot tell the patterns apart.",
    },
)

# %% [markdown]
# ## 8 · Exercises
#
# Replace `None` and run the cell. `hint("05.1")` helps; solutions are in `notebooks/solutions/`.
#
# **05.1** (5 minutes). Four GPUs hold a quarter of every layer each, and at conv3 each of them reads all maps. How many bytes do the four send for conv3 in total, on the way
# forward, with 128 images? (conv3 reads 256 maps of 13×13.)

# %%
answer_1 = None
check("05.1", answer_1)

# %% [markdown]
# **05.2** (10 minutes, a bug hunt). Two processes, a column each. This exchange gives the right outputs; the network trains, but not as it should. Find the mistake. Then write a function that
# returns the gradient of all $C$ maps. It gets the gradients that came back through the kernels of column a and through those of column b, $(N, C, h, w)$ each.
#
# ```python
# class Exchange(torch.autograd.Function):  # in the process of column a
#     @staticmethod
#     def forward(ctx, mine, theirs):
#         return torch.cat([mine, theirs], 1)
#
#     @staticmethod
#     def backward(ctx, gradient):
#         mine, theirs = gradient.chunk(2, 1)
#         return mine, None
# ```


# %%
def gradient_of_maps(through_a, through_b): ...


answer_2 = None  # gradient_of_maps
check("05.2", answer_2)

# %% [markdown]
# **05.3** (10 minutes). Write a function that takes the weights $(K, C/2, h, w)$ of a convolution with two groups and returns the weights $(K, C, h, w)$ of an ordinary
# convolution that computes the same. (What, then, is grouping?)


# %%
def ungroup(w): ...


answer_3 = None  # ungroup
check("05.3", answer_3)

# %% [markdown]
# **05.4** (10 minutes). Data parallelism sends all gradients once a step, whatever the batch; columns send in proportion to it. At what batch size does a GPU send as much either
# way? (Section 3 has the numbers at 128.)

# %%
answer_4 = None
check("05.4", answer_4)

# %% [markdown]
# **05.5** (15 minutes, hard). Suppose the half network had halved its last convolution as well: 128 kernels in conv5. Divide the multiply-adds of the paper's busier column by those of *that*
# network: what is the ratio? Then time it as in section 4: `dataclasses.replace` changes a layer of `variant("one_gpu")`, from `alexnet_edu.model.architecture`, and `AlexNet` builds the network. What becomes
# of the claim?

# %%
answer_5 = None
check("05.5", answer_5)

# %% [markdown]
# **To discuss.** You have two GPUs that are ten times as fast, and the same link between them. Which would you choose today, columns or data parallelism, and what else would you need to know?
#
# **Go deeper:** [What fills three gigabytes?](further/05_three_gigabytes.ipynb) · [Two processes, and one of them dies](further/05_two_processes.ipynb) · [How a short search invents three
# points](further/05_one_rate_for_all.ipynb). **Repeat the record:** `alexnet-edu experiment exchange`. **Next:** [06](06_imagenet_training.ipynb), five to six days of training.
