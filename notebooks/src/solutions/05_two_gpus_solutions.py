# %% [markdown]
# # 05 · Two GPUs: solutions

# %%
from dataclasses import replace

import torch
import torch.nn.functional as F

from alexnet_edu.model.architecture import variant
from alexnet_edu.notebook import check
from alexnet_edu.two_gpus.traffic import busier_column

# %% [markdown]
# **05.1.** Each GPU has 64 of the 256 maps and sends them to three others. In total four GPUs send three times as much as two: with $G$ GPUs each map goes to $G - 1$ others.

# %%
check("05.1", 4 * 128 * 13**2 * 64 * 3 * 4)

# %% [markdown]
# **05.2.** The maps of column a are read by the kernels of *both* columns, so both send a gradient back, and the two add up. The bug keeps what came through its own kernels and throws `theirs` away; but that part belongs to column b, which waits for it. (At the logits nothing may be added. There both processes compute the same loss from the same logits, and a sum would count it twice.)


# %%
def gradient_of_maps(through_a, through_b):
    return through_a + through_b


check("05.2", gradient_of_maps)

# %% [markdown]
# **05.3.** The kernels of the first half get zeros for the maps of the second column, and the other way round. So grouping is an ordinary convolution with half of its weights fixed at zero.


# %%
def ungroup(w):
    first, second = w.chunk(2)
    zeros = torch.zeros_like(first)
    return torch.cat([torch.cat([first, zeros], 1), torch.cat([zeros, second], 1)])


x, w = (
    torch.randn(*size, generator=torch.Generator().manual_seed(0)) for size in ((1, 8, 5, 5), (6, 4, 3, 3))
)
print("the same convolution:", torch.allclose(F.conv2d(x, ungroup(w)), F.conv2d(x, w, groups=2), atol=1e-5))
check("05.3", ungroup)

# %% [markdown]
# **05.4.** $30.0 \cdot N / 128 = 243.9$, so $N \approx 1{,}040$. With larger batches data parallelism sends less, which is one reason why it won.

# %%
check("05.4", 128 * 243.9 / 30.0)

# %% [markdown]
# **05.5.** conv1, conv2 and conv4 are those of a column anyway, and now conv5 is, too. fc6 reads half as many maps with twice as many units: equal again. What remains is conv3, where a column reads twice as many maps,
# $192 \cdot 128 \cdot 9 \cdot 13^2 = 37.4$ million more; and fc7, where it has half of the units, $8.4$ million less. Now the column has *more* to do. The claim rests on the footnote. (With conv5 halved as well, the half network would lose
# a third of its parameters, and the comparison of errors would be less fair.)

# %%
half = variant("one_gpu")
layers = [replace(layer, outputs=128) if layer.name == "conv5" else layer for layer in half.layers]
check("05.5", busier_column(variant("paper")) / busier_column(replace(half, layers=tuple(layers))))
