# %% [markdown]
# # Further, 08 · How many bits?
#
# Lesson 08 makes codes of 32 bits. Do longer ones help, and which method most? (Solve exercise 08.5 first.)

# %%
from alexnet_edu.lessons import neighbours as lesson
from alexnet_edu.notebook import load, show
from alexnet_edu.studies import retrieval

record = load("retrieval")
show(*lesson.by_bits(record))

# %% [markdown]
# Five networks, all test images, all training images. With more bits every code gets better. On features the auto-encoder leads with few bits, and, at every length, in finding the true neighbours. For the right class, random planes draw level with 64 bits; with more they are ahead, and they learn nothing. With 256 bits they are even
# ahead of *exact* search. How can a code be better than what it is a code of?

# %%
hidden = retrieval.layers(record)[-2]
angle = list(record.of(variant="features").runs["by_angle"])
print("exact search by distance:", retrieval.spread(retrieval.precisions(record, hidden)), "(recorded)")
print("exact search by angle:   ", retrieval.spread(angle), "(recorded)")

# %% [markdown]
# Random planes through the mean know the *angle* between two vectors, and not their lengths. On these features the angle is the better measure: how strongly an image excites the layer says little about its class. The paper compares distances.
#
# An auto-encoder helps pixels, too: its longer codes find more of the right class than pixels themselves do. What they have no room for is probably mostly noise.
#
# Time and memory: `benchmarks/neighbours.py` compares exact search and codes side by side on your machine; `benchmarks/README.md` has the results from here.
