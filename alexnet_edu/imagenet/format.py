"""What a prepared folder is called inside: written by `imagenet_prepare`, read by `imagenet`.

manifest.json            what is there, with sizes and checksums; written last
train-NNNNN.safetensors  shards: "bytes" (total,) uint8, "offsets" (n + 1,), "labels" (n,) int64
statistics.safetensors   "mean_image" (3, side, side) float32, "color_mean" (3,), "eigenvalues" (3,),
                         "eigenvectors" (3, 3) float64, as columns
report.json              what became of each image that was changed or left out
"""

FORMAT = "alexnet-edu-imagenet-1"
MANIFEST, REPORT, STATISTICS = "manifest.json", "report.json", "statistics.safetensors"
CODECS = ("jpeg", "raw")  # of the images in a shard
