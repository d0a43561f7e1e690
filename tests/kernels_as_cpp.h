// What makes kernels.cu C++: no blocks and threads but loops over them.
#include <cmath>

struct Dim {
    int x = 0, y = 0, z = 0;
};
static Dim blockIdx, blockDim, threadIdx;
#define __global__
#define __device__ inline

template <typename T>
void atomicAdd(T* sum, T value) {
    *sum += value;
}

template <typename Thread>
void for_all(int gx, int gy, int gz, int bx, int by, Thread thread) {
    blockDim.x = bx, blockDim.y = by;
    for (blockIdx.z = 0; blockIdx.z < gz; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < gy; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < gx; blockIdx.x++)
                for (threadIdx.y = 0; threadIdx.y < by; threadIdx.y++)
                    for (threadIdx.x = 0; threadIdx.x < bx; threadIdx.x++) thread();
}
