# %% [markdown]
# # 05 · Two GPUs: solutions

# %%
import torch
import torch.nn.functional as F

from alexnet_edu.exercises.check import check
from alexnet_edu.model.architecture import TALKERS, count, talking

# %% [markdown]
# **05.1.** Half of the 96 maps, 27×27 places, 128 images, four bytes: 17.9 MB, more than conv3 needs.

# %%
check("05.1", 4 * 128 * 48 * 27**2)

# %% [markdown]
# **05.2.** Where columns talk, a kernel reads twice as many maps. conv2, conv4 and conv5 get twice the weights:

# %%
everywhere = 60_965_224 + 256 * 48 * 25 + 384 * 192 * 9 + 256 * 192 * 9
assert everywhere == sum(size.parameters for size in count(talking(TALKERS)))
check("05.2", everywhere)

# %% [markdown]
# **05.3.** The kernels of the first half get zeros for the maps of the second column, and the other way round. So a grouped
# convolution is an ordinary one with half of its weights fixed at zero.


# %%
def ungroup(w):
    zeros = torch.zeros_like(w)
    first = torch.cat([w, zeros], dim=1)  # reads the first half of the maps
    second = torch.cat([zeros, w], dim=1)
    half = len(w) // 2
    return torch.cat([first[:half], second[half:]])


x, w = torch.randn(1, 8, 5, 5), torch.randn(6, 4, 3, 3)
assert torch.allclose(F.conv2d(x, ungroup(w)), F.conv2d(x, w, groups=2), atol=1e-5)
check("05.3", ungroup)

# %% [markdown]
# **05.4.** $30.0 \cdot N / 128 = 243.9$, so $N \approx 1{,}040$. With large batches data parallelism sends less, and that is one
# reason why it won.

# %%
check("05.4", 4 * 60_965_224 / (30.0e6 / 128))

# %% [markdown]
# **05.5.** The kernels of both ranks read the half, and what comes through either adds up. (At the logits nothing is added: there
# both ranks compute the same loss, and a sum would count it twice.)


# %%
def backward_of_exchange(own, received):
    return own + received


check("05.5", backward_of_exchange)
