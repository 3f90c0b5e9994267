# %% [markdown]
# # Further, 09 · Inverted dropout: the same mean, another training
#
# | form | in training | at test time |
# |---|---|---|
# | 2012 (§4.2 and the authors' code) | $m_i h_i$ | $p\, h_i$ |
# | inverted (`nn.Dropout`) | $m_i h_i / p$ | $h_i$ |
#
# In either form the test uses the mean over the masks. So the two agree in expectation, up to the factor $p$. Do they train alike?

# %%
import torch
import torch.nn.functional as F

from alexnet_edu.lessons import dropout as lesson
from alexnet_edu.model.layers import Dropout
from alexnet_edu.notebook import load, show
from alexnet_edu.studies.ablations import small_alexnet
from alexnet_edu.studies.run import build

# %% [markdown]
# They do not. What the next layer reads is half as large in the form of 2012, so with the same weights its inputs are smaller, and so is the
# gradient of its weights, $\partial L/\partial W = \delta\,(m \circ h)^\top$. When *are* they alike? Let $W$ read dropped units in the form of 2012, and
# $W'$ in the other. The outputs agree for every mask if
#
# $$W = W'/p .$$
#
# Then the $\delta$ agree too, and $\partial L/\partial W = p\;\partial L/\partial W'$. After a step of SGD $W = W'/p$ must still hold, so
# $\varepsilon\,p\;\partial L/\partial W' = \varepsilon'\,(\partial L/\partial W')/p$, that is
#
# $$\varepsilon = \varepsilon'/p^2 .$$
#
# For $p = 0.5$: weights twice as large and a rate four times as large, in the layers that read dropped units. Five steps of a whole network in
# double precision, with the same masks (weight decay $\lambda \varepsilon W$ must follow, too: $\lambda = p^2 \lambda'$):


# %%
def logits_after_training(step, factor, x, y):
    """factor: of the weights that read dropped units; their rate goes with its square."""
    net = build(small_alexnet(step), 24, 10, 0).double()
    readers = [net.weights(name).weight for name in ("fc5", "fc6")]
    others = [p for p in net.parameters() if all(p is not w for w in readers)]
    for w in readers:
        w.data *= factor
    own = {"params": readers, "lr": 0.005 * factor**2, "weight_decay": 0.0005 / factor**2}
    sgd = torch.optim.SGD([{"params": others}, own], lr=0.005, momentum=0.9, weight_decay=0.0005)
    for i in range(5):
        for seed, layer in enumerate(m for m in net.modules() if isinstance(m, Dropout)):
            layer.reseed(100 * i + seed)  # the same masks in every call
        sgd.zero_grad()
        F.cross_entropy(net(x), y).backward()
        sgd.step()
    return net.eval()(x)


x = torch.randn(16, 3, 24, 24, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
y = torch.arange(16) % 10
inverted = logits_after_training("inverted_dropout", 1, x, y)
for words, factor in (("weights × 2 and rate × 4 in fc5 and fc6", 2), ("the same weights and rates", 1)):
    alike = torch.allclose(logits_after_training("dropout", factor, x, y), inverted, rtol=1e-9)
    print(f"2012 with {words}: {'the inverted form, to rounding' if alike else 'another network'}")

# %% [markdown]
# Put the other way: **with the same weights and the same rate, these layers start at half the scale and learn at a quarter of the rate in the form of
# 2012.** A learning rate that was found with one form does not carry over to the other. The record shows it:

# %%
show(*lesson.both_forms(load("dropout")))
