// A libcuda.so.1 whose "GPU" is this process: what is asked for is done at once, by the processor.
//
// It is for the real cuda-bindings and the real NVRTC, which must find here what they ask NVIDIA's
// driver for: whether names, arguments and answers are right, and whether anything but kernels is
// asked for while a graph is recorded. It cannot tell whether streams and marks keep order.
//
// kernels.inc is made by the test: the kernels, and KERNELS, a table of them.

#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "kernels_as_cpp.h"

struct Kernel {
    const char* name;
    const int* sizes;  // of its arguments, in bytes
    int count;
    void (*run)(int, int, int, int, int, void**);
};

#include "kernels.inc"

namespace {

enum Result { OK = 0, INVALID = 1, NO_DEVICE = 100, NOT_FOUND = 500, CAPTURING = 900 };

using Address = unsigned long long;

struct Launch {
    const Kernel* kernel;
    int grid[3], block[2];
    std::vector<std::vector<char>> values;

    void run() {
        std::vector<void*> pointers;
        for (auto& value : values) pointers.push_back(value.data());
        kernel->run(grid[0], grid[1], grid[2], block[0], block[1], pointers.data());
    }
};
using Graph = std::vector<Launch>;

Graph* recording = nullptr;
std::map<void*, bool> held;  // addresses that were given out, and whether they are pinned memory
long handles = 100;

Result handle(void** made) {
    *made = reinterpret_cast<void*>(++handles);
    return OK;
}

void* memory(size_t size, bool is_pinned) {
    void* made = std::aligned_alloc(256, (size + 255) / 256 * 256);
    std::memset(made, 0xA5, size);  // what nobody has written is noise
    held[made] = is_pinned;
    return made;
}

Result freed(void* address, bool is_pinned) {
    auto found = held.find(address);
    if (found == held.end() || found->second != is_pinned) return INVALID;
    held.erase(found);
    std::free(address);
    return OK;
}

Result copied(void* to, const void* from, size_t size) {
    if (recording) return CAPTURING;
    std::memcpy(to, from, size);
    return OK;
}

template <typename T>
Result filled(Address there, T value, size_t count) {
    if (recording) return CAPTURING;
    for (size_t each = 0; each < count; each++) reinterpret_cast<T*>(there)[each] = value;
    return OK;
}

Result order() { return recording ? CAPTURING : OK; }

}  // namespace

extern "C" {

Result cuInit(unsigned) { return OK; }
Result cuDriverGetVersion(int* version) { return *version = 13000, OK; }
Result cuDeviceGet(int* device, int ordinal) { return *device = 0, ordinal ? NO_DEVICE : OK; }
Result cuDeviceGetName(char* name, int size, int) { return std::strncpy(name, "stand-in", size), OK; }
Result cuDeviceGetAttribute(int* value, int attribute, int) {
    *value = attribute == 75 ? 9 : 0;  // compute capability 9.0
    return OK;
}
Result cuDevicePrimaryCtxRetain(void** context, int) { return handle(context); }
Result cuDevicePrimaryCtxRelease_v2(int) { return OK; }
Result cuCtxSetCurrent(void*) { return OK; }
Result cuCtxSynchronize() { return order(); }

Result cuModuleLoadData(void** module, const void* image) {
    return std::memcmp(image, "\x7f" "ELF", 4) ? INVALID : handle(module);
}
Result cuModuleUnload(void*) { return OK; }
Result cuModuleGetFunction(const void** function, void*, const char* name) {
    for (auto& kernel : KERNELS)
        if (!std::strcmp(kernel.name, name)) return *function = &kernel, OK;
    return NOT_FOUND;
}

Result cuStreamCreate(void** stream, unsigned) { return handle(stream); }
Result cuStreamDestroy_v2(void*) { return OK; }
Result cuStreamSynchronize(void*) { return order(); }
Result cuStreamWaitEvent(void*, void*, unsigned) { return order(); }
Result cuEventCreate(void** event, unsigned) { return handle(event); }
Result cuEventDestroy_v2(void*) { return OK; }
Result cuEventRecord(void*, void*) { return order(); }
Result cuEventSynchronize(void*) { return order(); }

Result cuMemAlloc_v2(Address* there, size_t size) {
    return recording ? CAPTURING : (*there = Address(memory(size, false)), OK);
}
Result cuMemHostAlloc(void** here, size_t size, unsigned) {
    return recording ? CAPTURING : (*here = memory(size, true), OK);
}
Result cuMemFree_v2(Address there) { return freed(reinterpret_cast<void*>(there), false); }
Result cuMemFreeHost(void* here) { return freed(here, true); }
Result cuMemsetD8Async(Address there, unsigned char value, size_t count, void*) {
    return filled(there, value, count);
}
Result cuMemsetD32Async(Address there, unsigned value, size_t count, void*) {
    return filled(there, value, count);
}
Result cuMemcpyHtoDAsync_v2(Address there, const void* here, size_t size, void*) {
    return copied(reinterpret_cast<void*>(there), here, size);
}
Result cuMemcpyDtoHAsync_v2(void* here, Address there, size_t size, void*) {
    return copied(here, reinterpret_cast<void*>(there), size);
}
Result cuMemcpyDtoH_v2(void* here, Address there, size_t size) {
    return copied(here, reinterpret_cast<void*>(there), size);
}

Result cuLaunchKernel(
    const Kernel* kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
    unsigned bz, unsigned shared, void*, void** values, void** extra) {
    if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || bx * by > 1024) return INVALID;
    if (bz != 1 || shared || extra) return INVALID;
    Launch launch{kernel, {int(gx), int(gy), int(gz)}, {int(bx), int(by)}, {}};
    for (int each = 0; each < kernel->count; each++) {
        auto first = static_cast<char*>(values[each]);
        launch.values.emplace_back(first, first + kernel->sizes[each]);
    }
    if (recording) return recording->push_back(launch), OK;
    return launch.run(), OK;
}

Result cuStreamBeginCapture_v2(void*, int) { return recording = new Graph, OK; }
Result cuStreamEndCapture(void*, void** graph) {
    return *graph = recording, recording = nullptr, OK;
}
Result cuGraphInstantiateWithFlags(void** ready, void* graph, unsigned long long) {
    return *ready = new Graph(*static_cast<Graph*>(graph)), OK;
}
Result cuGraphDestroy(void* graph) { return delete static_cast<Graph*>(graph), OK; }
Result cuGraphExecDestroy(void* ready) { return delete static_cast<Graph*>(ready), OK; }
Result cuGraphLaunch(void* ready, void*) {
    for (auto& launch : *static_cast<Graph*>(ready)) launch.run();
    return OK;
}

// The names that are asked for have no version; the newest of each is what is meant.
Result cuGetProcAddress_v2(const char* name, void** found, int, unsigned long long, int* state) {
    std::string asked = name;
    if (asked == "cuGraphInstantiate") asked = "cuGraphInstantiateWithFlags";
    void* self = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    *found = dlsym(self, (asked + "_v2").c_str());
    if (!*found) *found = dlsym(self, asked.c_str());
    if (state) *state = *found ? 0 : 1;
    return *found ? OK : NOT_FOUND;
}
Result cuGetProcAddress(const char* name, void** found, int version, unsigned long long flags) {
    return cuGetProcAddress_v2(name, found, version, flags, nullptr);
}
Result cuGetExportTable(const void** table, const void*) { return *table = nullptr, NOT_FOUND; }
}
