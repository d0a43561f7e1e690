"""The frame on an NVIDIA GPU: twins of the stages, as kernels on planes in the GPU's memory."""
