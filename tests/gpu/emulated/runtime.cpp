/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The emulated runtime: devices whose memory is the host's, one unless told otherwise. Work on a stream is done in order, mostly at once, now
 * and then only when somebody asks for it.
 */
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "emulator.h"

typedef std::function<void()> work;

struct emulated_graph {
    std::vector<work> steps;
};

struct emulated_stream {
    std::deque<work> pending;
    emulated_graph *capture = nullptr;
    unsigned reluctance = 0; /* questions that are answered with "not yet" */
};

struct emulated_event {
    emulated_stream *stream = nullptr;
};

namespace {

uint64_t calls, fail_at, graph_launches;
int fail_code, stuck, dying, unlaunchable;
int last_error; /* until somebody asks for it */
bool refuses_pinning;
int64_t alive;
size_t device_bytes; /* in use, of memory_bytes */
constexpr size_t memory_bytes = (size_t)8 << 30;
std::map<char *, size_t> registered;
std::map<void *, size_t> allocated;

bool is_sticky(int code)
{
    return code >= 700 && code < 720 && code != cudaErrorLaunchOutOfResources &&
           code != cudaErrorHostMemoryAlreadyRegistered;
}

/* EMULATED_DEVICES of them, or one; their UUIDs end with their numbers. Of these CUDA_VISIBLE_DEVICES may leave some, by
 * number or UUID; as in CUDA, the first that is not there ends the list. */
std::vector<int> look_around()
{
    const char *count = getenv("EMULATED_DEVICES"), *list = getenv("CUDA_VISIBLE_DEVICES");
    int devices = count ? atoi(count) : 1;
    std::vector<int> seen;
    for (int i = 0; !list && i < devices; i++)
        seen.push_back(i);
    for (std::string rest = list ? list : ""; !rest.empty();) {
        std::string item = rest.substr(0, rest.find(','));
        rest.erase(0, item.size() + 1);
        bool uuid = item.compare(0, 4, "GPU-") == 0 && item.size() == 40;
        int number = uuid ? (int)strtol(item.c_str() + 38, nullptr, 16) : atoi(item.c_str());
        if (number >= devices)
            break;
        seen.push_back(number);
    }
    return seen;
}

/* As with CUDA, the environment counts when the process first asks. */
const std::vector<int> &visible()
{
    static const std::vector<int> seen = look_around();
    return seen;
}

/* What a call returns, it also leaves behind; as in CUDA, "not ready" too. */
cudaError_t leave(int code)
{
    if (code != cudaSuccess)
        last_error = code;
    return (cudaError_t)code;
}

/* Every call begins here. */
cudaError_t called()
{
    if (stuck)
        return leave(stuck);
    if (++calls != fail_at)
        return cudaSuccess;
    if (is_sticky(fail_code))
        stuck = fail_code;
    return leave(fail_code);
}

void drain(emulated_stream *s)
{
    while (!s->pending.empty()) {
        work w = std::move(s->pending.front());
        s->pending.pop_front();
        if (dying)
            stuck = dying;
        else if (!stuck)
            w();
    }
}

bool hurries()
{
    static uint32_t turn;
    return !dying && ++turn % 29 != 0;
}

cudaError_t add(emulated_stream *s, work w)
{
    if (s->capture) {
        s->capture->steps.push_back(std::move(w));
        return cudaSuccess;
    }
    s->pending.push_back(std::move(w));
    if (hurries())
        drain(s);
    return cudaSuccess;
}

/* "Not yet" now and then, so that callers must really poll; nothing is done before the last "not yet". */
cudaError_t ask(emulated_stream *s)
{
    if (!s->pending.empty() && s->reluctance++ % 3 != 2)
        return leave(cudaErrorNotReady);
    drain(s);
    return leave(stuck);
}

/* For a sanitizer that sees where memory ends; else whole pages, since the device has a lot and touches little. */
#if defined(__SANITIZE_ADDRESS__)
void *get_memory(size_t bytes)
{
    return aligned_alloc(256, (bytes + 255) / 256 * 256);
}

void give_memory(void *at, size_t)
{
    free(at);
}
#else
void *get_memory(size_t bytes)
{
    void *at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? nullptr : at;
}

void give_memory(void *at, size_t bytes)
{
    munmap(at, bytes);
}
#endif

cudaError_t allocate(void **at, size_t bytes)
{
    *at = nullptr;
    cudaError_t rc = called();
    if (rc != cudaSuccess)
        return rc;
    *at = get_memory(bytes);
    if (!*at)
        abort();
    allocated[*at] = bytes;
    memset(*at, 0xcd, bytes < 65536 ? bytes : 65536); /* the rest costs nothing until it is touched */
    alive++;
    return cudaSuccess;
}

cudaError_t release(void *at)
{
    if (at) {
        give_memory(at, allocated.at(at));
        allocated.erase(at);
        alive--;
    }
    return cudaSuccess;
}

std::vector<emulated_stream *> streams;

} // namespace

cudaError_t emulator_called()
{
    return called();
}

void emulator_keep(int64_t more)
{
    alive += more;
}

int emulator_launch(void *stream, dim3 grid, unsigned threads, std::function<void()> kernel)
{
    if (!stream) {
        emulator_run(grid, threads, kernel);
        return cudaSuccess;
    }
    cudaError_t rc = called();
    if (rc != cudaSuccess)
        return rc;
    if (unlaunchable)
        return leave(unlaunchable);
    if (grid.x == 0 || grid.y == 0 || grid.y > 65535 || threads > 1024)
        return leave(cudaErrorInvalidConfiguration);
    return add((emulated_stream *)stream, [=] { emulator_run(grid, threads, kernel); });
}

extern "C" {

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = (int)visible().size();
    if (*count == 0)
        return cudaErrorNoDevice;
    return called();
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
    if (device < 0 || device >= (int)visible().size())
        return cudaErrorInvalidDevice;
    int number = visible()[(size_t)device];
    *p = {};
    snprintf(p->name, sizeof(p->name), "emulated %d", number);
    p->uuid.bytes[15] = (char)number;
    p->pciBusID = 0x10 + number;
    p->totalGlobalMem = memory_bytes;
    p->multiProcessorCount = 2;
    return called();
}

cudaError_t cudaSetDevice(int)
{
    return called();
}

cudaError_t cudaGetLastError(void)
{
    int code = stuck ? stuck : last_error;
    last_error = cudaSuccess;
    return (cudaError_t)code;
}

cudaError_t cudaDeviceSynchronize(void)
{
    for (emulated_stream *s : streams)
        drain(s);
    return (cudaError_t)stuck;
}

cudaError_t cudaMalloc(void **at, size_t bytes)
{
    if (bytes > memory_bytes - device_bytes)
        return leave(cudaErrorMemoryAllocation);
    cudaError_t rc = allocate(at, bytes);
    device_bytes += rc == cudaSuccess ? bytes : 0;
    return rc;
}

cudaError_t cudaFree(void *at)
{
    device_bytes -= at ? allocated.at(at) : 0;
    return release(at);
}

cudaError_t cudaHostAlloc(void **at, size_t bytes, unsigned)
{
    return allocate(at, bytes);
}

cudaError_t cudaFreeHost(void *at)
{
    return release(at);
}

cudaError_t cudaHostRegister(void *at, size_t bytes, unsigned)
{
    cudaError_t rc = called();
    if (rc != cudaSuccess)
        return rc;
    if (refuses_pinning)
        return cudaErrorMemoryAllocation;
    for (const auto &r : registered)
        if ((char *)at < r.first + r.second && r.first < (char *)at + bytes)
            return cudaErrorHostMemoryAlreadyRegistered;
    registered[(char *)at] = bytes;
    alive++;
    return cudaSuccess;
}

cudaError_t cudaHostUnregister(void *at)
{
    if (registered.erase((char *)at) == 0)
        return cudaErrorHostMemoryNotRegistered;
    alive--;
    return cudaSuccess;
}

cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned)
{
    *device = host;
    return called();
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind, cudaStream_t stream)
{
    cudaError_t rc = called();
    return rc == cudaSuccess ? add(stream, [=] { memcpy(to, from, bytes); }) : rc;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    cudaError_t rc = called();
    if (rc != cudaSuccess)
        return rc;
    *stream = new emulated_stream;
    streams.push_back(*stream);
    alive++;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    drain(stream);
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == stream)
            streams.erase(streams.begin() + (long)i--);
    delete stream;
    alive--;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    cudaError_t rc = called();
    if (rc != cudaSuccess)
        return rc;
    drain(stream);
    return (cudaError_t)stuck;
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    cudaError_t rc = called();
    return rc == cudaSuccess ? ask(stream) : rc;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode)
{
    cudaError_t rc = called();
    if (rc == cudaSuccess) {
        stream->capture = new emulated_graph;
        alive++;
    }
    return rc;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    cudaError_t rc = called();
    *graph = stream->capture;
    stream->capture = nullptr;
    if (rc != cudaSuccess) {
        cudaGraphDestroy(*graph);
        *graph = nullptr;
    }
    return rc;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    cudaError_t rc = called();
    if (rc != cudaSuccess)
        return rc;
    *exec = new emulated_graph(*graph);
    alive++;
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t)
{
    return called();
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    cudaError_t rc = called();
    if (rc != cudaSuccess)
        return rc;
    graph_launches++;
    return add(stream, [=] {
        for (const work &w : exec->steps)
            w();
    });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    alive -= graph != nullptr;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    return cudaGraphDestroy(exec);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    cudaError_t rc = called();
    if (rc != cudaSuccess)
        return rc;
    *event = new emulated_event;
    alive++;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    delete event;
    alive--;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    event->stream = stream;
    return called();
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    cudaError_t rc = called();
    return rc == cudaSuccess ? ask(event->stream) : rc;
}

void emulator_fail(uint64_t nth, int code)
{
    fail_at = nth ? calls + nth : 0;
    fail_code = code;
    if (!code)
        stuck = 0;
}

uint64_t emulator_calls(void)
{
    return calls;
}

int64_t emulator_leaks(void)
{
    return alive;
}

uint64_t emulator_graph_launches(void)
{
    return graph_launches;
}

void emulator_refuse_pinning(int refuse)
{
    refuses_pinning = refuse != 0;
}

void emulator_refuse_launches(int code)
{
    unlaunchable = code;
}

void emulator_kill_kernels(int code)
{
    dying = code;
    if (!code)
        stuck = 0;
}

} /* extern "C" */
