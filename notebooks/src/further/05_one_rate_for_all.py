# %% [markdown]
# # Further, 05 · How a short search invents three points
#
# "Columns that never talk before the classifier are three points worse." That is what this project's own record says if you read it carelessly, and its interval is far from 0.

# %%
from alexnet_edu.lessons import two_gpus as lesson
from alexnet_edu.notebook import load, show
from alexnet_edu.studies import record as records

record = load("exchange")
gap = record.gap("nowhere", "conv3")
print(f"never talking against talking at conv3, each at the rate that a search chose: {gap.signed} points")

# %% [markdown]
# Each pattern had its own learning rate, from a search with one seed and one epoch. It chose another rate for *nowhere* than for conv3. So each pattern was trained at each of three rates:

# %%
show(*lesson.patterns_by_rate(record))

# %% [markdown]
# At every rate that both share, never talking is no worse. The three points came from the learning rate: the search had met a near tie and picked the wrong side.
#
# | what is compared | what it tells |
# |---|---|
# | each at the rate of a *short* search | the search |
# | each at the rate of a search as long as the training itself | the patterns, each at its best |
# | all at one rate, and at several | the patterns, and how far a rate can bend the result |
#
# The half network's seeds scatter at every rate, and most of all at ε = 0.01: there two of its runs end at 33% and 38%, the third at 51%.

# %%
print(record.origin())
print()
print(records.table_by_rate(record, "conv3"))
print("* the rate that the search chose")

# %% [markdown]
# Wider layers at equal parameters also mean other shapes, so the pattern is not all that differs. And four epochs, three seeds and ten classes say nothing about ImageNet.
