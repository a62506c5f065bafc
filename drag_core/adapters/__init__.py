"""Image-prompt adapters for FLUX: what a file holds, and what it adds to the model's attention. Pure torch.

Every adapter is a decoupled cross-attention (IP-Adapter, Ye et al. 2023): the image tokens' queries also look
at K and V made from a picture, and the result, times a scale, is added. They differ in how the picture's
embeddings become tokens, in which query they take, and in where the result is added.
"""
