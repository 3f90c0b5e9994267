# %% [markdown]
# # Further, 08 · One offer from each batch
#
# The authors' `findsimilar.py` lets each batch of training images offer only its nearest one. What is lost by that? (Solve exercise 08.3 first.)

# %%
import torch

from alexnet_edu import paper
from alexnet_edu.lessons import neighbours as lesson
from alexnet_edu.notebook import load, show
from alexnet_edu.studies import neighbours as package


def one_from_each(x, y, batches, k):
    """One query x (D,), training images y (N, D) -> places of the k best offers."""
    offers, start = [], 0
    for batch in y.tensor_split(batches):
        distance = ((batch - x) ** 2).sum(1)  # without the root
        offers.append((distance.min(), start + distance.argmin()))
        start += len(batch)
    return torch.stack([place for _, place in sorted(offers, key=lambda offer: offer[0])[:k]])


random = torch.Generator().manual_seed(0)
x, y = torch.randn(5, 16, generator=random), torch.randn(500, 16, generator=random)
mine = torch.stack([one_from_each(query, y, 50, 16) for query in x])
print("as the package does it:", torch.equal(mine, package.nearest_of_batches(x, y, 50, 16).index))
show(*lesson.by_batches(load("retrieval")))

# %% [markdown]
# If images are shuffled, the expected number is the one that you derived. With the 1334 batches of 2012:

# %%
print(f"of 16: {package.expected_by_batches(16, 1334):.2f}")
print(f"of the six in Figure 4: {package.expected_by_batches(paper.FIGURE4_NEIGHBOURS, 1334):.3f}")

# %% [markdown]
# The authors lost about one neighbour in a hundred and eighty, and needed no list for each batch. In class order the true neighbours crowd into a few batches, and the same code loses many more. Whether their batches were shuffled cannot be seen in the release: no reordering is visible in it.
