# %% [markdown]
# # Further, 11 · The other classes, or the time?
#
# A pre-trained network is four to five points better than one from scratch. But it has also been trained for far longer. What else could that time have bought?

# %%
from alexnet_edu.lessons import results as lesson
from alexnet_edu.model.architecture import count, variant
from alexnet_edu.notebook import load, show
from alexnet_edu.studies import ensemble_record as results

record = load("results")
show(*lesson.head_start(record))

# %% [markdown]
# The fair rivals of the pre-trained network (`starred`) have its sixth convolution and start from scratch: `sixth` takes as many epochs as the fine-tuning, `long` as many *steps* as pre-training and fine-tuning together. `plain` is the network from scratch without the sixth convolution,
# and `starred-long` is pre-trained and then fine-tuned as long as `long`. Differences in points, problem 1; problem 2, with intervals over other test images:

# %%
for pair in (
    ("sixth", "plain"),
    ("starred", "plain"),
    ("starred", "sixth"),
    ("starred", "long"),
    ("starred-long", "long"),
):
    print(f"{pair[0]:12} against {pair[1]:6} {results.intervals(results.gaps(record, *pair))}")

# %% [markdown]
# - The sixth convolution alone (`sixth` against `plain`) is worth little.
# - Trained as long from scratch (`long`), a network is as good as the pre-trained one or **better**: the first 40 epochs were too few for either.
# - Fine-tuned as long, the pre-trained network is ahead again, by one to two points. That is what the other classes taught, and it stays.
#
# In the paper the network from scratch was closer to converged: run 145 gained 0.4 / 0.2 points from 44 more epochs, and pre-training 1.7 / 1.6. So the last line is its fairer counterpart. What it rests on: one network per problem; and the two problems are a single split of the classes, in both
# directions. Other classes, or another seed, may give another size.

# %%
for problem in record.settings["problems"]:
    print(f"problem {problem['problem']}: {', '.join(problem['source'])} -> {', '.join(problem['target'])}")
print(record.origin())

# %% [markdown]
# **The sixth convolution in the paper's network** lies over the last pooling layer and reads both columns. It is cheap, too:

# %%
plain, sixth = (count(variant(name)) for name in ("paper", "conv6"))
for what in ("parameters", "multiply_adds"):
    before, after = (sum(getattr(size, what) for size in table) for table in (plain, sixth))
    print(f"{what.replace('_', '-')}: {before:,} -> {after:,}, {after / before - 1:+.1%}")
