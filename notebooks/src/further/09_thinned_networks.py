# %% [markdown]
# # Further, 09 · All thinned networks of a trained one
#
# Lesson 09 proves that halving gives the geometric mean for a single softmax layer. Between two hidden layers lies a ReLU. How far off is the
# halving then, in a *trained* network? And what is a single unit worth in it?

# %%
import torch
import torch.nn.functional as F
from torch import nn

from alexnet_edu.lessons import dropout as lesson
from alexnet_edu.model.layers import Dropout
from alexnet_edu.notebook import at_scale, load_cifar10, show
from alexnet_edu.studies import thinned
from alexnet_edu.studies.ablations import small_alexnet
from alexnet_edu.studies.run import build

# %% [markdown]
# Two networks, trained as in the lesson, without and with dropout.


# %%
def train(step, x, y, epochs):
    net, random = build(small_alexnet(step), 24, 10, 0), torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.005, momentum=0.9)
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=random).split(50):
            optimizer.zero_grad()
            F.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
    return net.eval()


# %% tags=["nbval-ignore-output"]
cifar, (count, epochs, tested) = load_cifar10(), at_scale((400, 2, 100), (4000, 15, 400), (10_000, 36, 1000))
order = torch.randperm(len(cifar.train), generator=torch.Generator().manual_seed(0))[:count]
train_set, test_set = cifar.train.subset(order), cifar.test.subset(torch.randperm(len(cifar.test))[:tested])
(x, y), (seen, labels) = [
    ((s.pixels[:, :, 4:28, 4:28].float() - 128) / 64, s.labels) for s in (train_set, test_set)
]
networks = {name: train(step, x, y, epochs) for name, step in lesson.FORMS_TRAINED.items()}
heads = {name: thinned.read_head(net, seen, "fc5") for name, net in networks.items()}

# %% [markdown]
# ## All 65,536
#
# A small classifier with hidden layers of 8 and 8 units is trained with masks on what `fc5` of the network reads. It has $2^{16}$ thinned networks:
# few enough to take them all.

# %% tags=["nbval-ignore-output"]
inputs = thinned.read_head(networks["with dropout"], x[:2000], "fc5")[0].float()
unit, targets = inputs.std(), y[:2000]
first = nn.Sequential(nn.Linear(512, 8), nn.ReLU())
head = nn.Sequential(first, Dropout(), nn.Linear(8, 8), nn.ReLU(), Dropout(), nn.Linear(8, 10))
adam = torch.optim.Adam(head.parameters(), lr=0.005)
for _ in range(at_scale(200, 1000)):
    batch = torch.randint(len(inputs), (256,))
    adam.zero_grad()
    F.cross_entropy(head(inputs[batch] / unit), targets[batch]).backward()
    adam.step()
few = at_scale(10, 40)
h = first(heads["with dropout"][0][:few].float() / unit).detach().double()
layers = [(layer.weight.detach().double(), layer.bias.detach().double()) for layer in (head[2], head[5])]
masks = thinned.all_masks(16).split([8, 8], dim=1)
every = torch.cat(
    [thinned.geometric_mean(thinned.thinned_logits(part, layers, masks)) for part in h.split(10)]
)
whole = thinned.whole_logits(h, layers).log_softmax(-1)
counts, drawn = (1, 3, 10, 30, 100, 300, 1000), torch.randint(2**16, (1000,))
sampled = thinned.thinned_logits(h, layers, [m[drawn] for m in masks])
far = {
    name: [thinned.divergence(every, mean(sampled[:c])).mean().item() for c in counts]
    for name, mean in (("drawn", thinned.geometric_mean), ("arithmetic", thinned.arithmetic_mean))
}
show(*lesson.nearness(counts, far, thinned.divergence(every, whole).mean().item(), cifar.train))

# %% [markdown]
# The dashed line is the halved network; the green triangles are geometric means of that many thinned networks. Where the two cross, so many passes come as
# near as one. (The arithmetic mean settles at a distance of its own: it is another mean.)
#
# ## What is one unit worth?
#
# The paper's reason for dropout is *co-adaptation*: a unit cannot rely on particular other units being there. If so, a network trained without dropout
# should lean more on single units and on particular combinations. Switch off one hidden unit at a time; then many at once.

# %% tags=["nbval-ignore-output"]
change, kept = {}, {}
for name, (h, layers) in heads.items():
    change[name] = thinned.relative_change(thinned.without_each(h, layers), thinned.whole_logits(h, layers))
    shares = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
    kept[name] = thinned.errors_with_masks(h, layers, labels, shares, 5, torch.Generator().manual_seed(0))
show(*lesson.single_units(change, kept, cifar.train))

# %% [markdown]
# On the left, the further right a line lies, the more its network depends on single units. On the right both start whole. Leave out half of the units, as
# training with masks did, and the network with dropout loses little. The one without never had to manage with fewer, and loses far more. (It also fits its
# training images better, which may be part of what we see.)
#
# ## Weights of 2012 in a network with `nn.Dropout`
#
# At test time `nn.Dropout` does nothing, so nobody halves the outputs:

# %% tags=["nbval-ignore-output"]
h, layers = heads["with dropout"]
for name, share in (("outputs × 0.5, as in 2012", 0.5), ("not scaled", 1.0)):
    logits = thinned.whole_logits(h, layers, share)
    error = (logits.argmax(1) != labels).double().mean()
    print(f"{name:26} test error {error:.1%}, loss {F.cross_entropy(logits, labels):.2f}")

# %% [markdown]
# The error moves little, because the largest logit is mostly still the largest. But the network is far too sure of itself, and the loss shows it. Anyone who looks at the
# error alone may miss the fault.
