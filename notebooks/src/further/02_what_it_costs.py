# %% [markdown]
# # Further, 02 · What does normalization cost, and must it?
#
# A unit of AlexNet's first layer takes 363 multiplications (11×11 pixels in three colours). Normalizing it takes about ten more, and one power. Yet on a CPU
# `torch.nn.LocalResponseNorm` takes a large part of the training step. Where does the time go?

# %%
import torch
import torch.nn.functional as F
from torch import nn

from alexnet_edu.model import compiling
from alexnet_edu.model.layers import LocalResponseNorm, local_response_norm
from alexnet_edu.studies import costs

maps = torch.randn(4, 96, 55, 55, generator=torch.Generator().manual_seed(3))  # conv1's output, four images


def lrn(a):
    squares = F.pad(a**2, (0, 0, 0, 0, 2, 2))
    return a / (2 + 1e-4 * sum(squares[:, j : j + a.shape[1]] for j in range(5))) ** 0.75


pytorchs = nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)

# %% [markdown]
# ## Memory
#
# What does a layer keep for its backward pass, in bytes for each byte of its input?

# %%
for name, layer in {
    "ours": LocalResponseNorm(),
    "torch.nn": pytorchs,
    "batch norm": nn.BatchNorm2d(96),
}.items():
    print(name, round(costs.kept_bytes(layer, maps), 1))

# %% [markdown]
# The closed form of the gradient (exercise 02.5) needs only $a$; the base is computed again. Autograd, left to itself, keeps the results between the steps of the formula.
#
# ## Time
#
# Each step (square, add a slice, add the next, …) reads whole tensors from memory and writes another. Forward only, the bytes that are moved for each byte of the input:

# %%
for name, way in {"step by step": lrn, "torch.nn": pytorchs}.items():
    print(name, round(costs.moved_bytes(way, maps), 1))

# %% [markdown]
# Two would be enough: read $a$ once, write $b$ once, keep everything between in registers. A loop that does so is called a *fused* kernel. In 2012 people wrote such kernels by
# hand, in CUDA. Today a compiler can write them: `compiled=True` asks `torch.compile`. (It needs a C++ compiler and, the first time, half a minute or more. Uncompiled, the package's function works
# image by image, so that most steps find their numbers in the processor's cache.)

# %% tags=["nbval-ignore-output"]
ways = {"step by step": lrn, "torch.nn": pytorchs, "ours": local_response_norm}
try:
    compiling.check("cpu")
    ways["ours, compiled"] = lambda a: local_response_norm(a, compiled=True)
except compiling.CannotCompile as reason:
    print(reason)
batch = torch.randn(16, 96, 55, 55, generator=torch.Generator().manual_seed(3))
with torch.no_grad():
    took = costs.seconds_in_turn({name: lambda way=way: way(batch) for name, way in ways.items()})
for name in ways:
    print(f"{name}: {took[name] / took['ours']:.2f} times as long as ours, forward")

# %% [markdown]
# So a layer's share of the arithmetic says little about its share of the time. Bytes do not say everything either: PyTorch's layer moves fewer than the step-by-step form, and yet was slower here. Timed step by step on two cores, most of
# its time went into the average pooling in three dimensions with which it sums the windows. `benchmarks/lrn.py` measures all of this with care, backward pass and whole training step included.
