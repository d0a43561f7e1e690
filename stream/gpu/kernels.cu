// What the processor's stages compute, as CUDA kernels on planes in the GPU's memory.
//
// The processor's files are the reference: each kernel names the function that it is the twin of,
// and tests hold them equal. To be testable without a GPU this is also plain C++: no shared
// memory, no libraries, each thread on its own. Planes of one size lie one behind the other, and
// blockIdx.z counts them.

typedef unsigned char u8;

#define X (int)(blockIdx.x * blockDim.x + threadIdx.x)
#define Y (int)(blockIdx.y * blockDim.y + threadIdx.y)
#define Z (int)blockIdx.z
#define INSIDE(w, h) if (X >= (w) || Y >= (h)) return

static __device__ int within(int at, int n) { return at < 0 ? 0 : at < n ? at : n - 1; }

// BORDER_REFLECT_101: gfedcb|abcdefgh|gfedcba
static __device__ int reflected(int at, int n) {
    if (n == 1) return 0;
    while (at < 0 || at >= n) at = at < 0 ? -at : 2 * n - 2 - at;
    return at;
}

static __device__ float clipped(float v, float low, float high) { return fminf(fmaxf(v, low), high); }

// MatteRefiner.refine's firm ends; the compiler is told where they are.
static __device__ float firm(float alpha) {
    return (alpha - SURELY_BACKGROUND) / (SURELY_PERSON - SURELY_BACKGROUND);
}

struct Spot { int from, to; float part; };

// cv2.resize, INTER_LINEAR: pixel centers fall on pixel centers. Whole numbers: exact at any size.
static __device__ Spot linear(int at, int n, int wanted) {
    int twice = (2 * at + 1) * n - wanted, from = twice < 0 ? 0 : twice / (2 * wanted);
    float part = twice < 0 ? 0.f : (float)(twice - from * 2 * wanted) / (2 * wanted);
    return {from, within(from + 1, n), part};
}

// cv2.resize, INTER_AREA where one side grows: almost the nearest pixel.
static __device__ Spot nearly(int at, int n, int wanted) {
    int from = (int)((long long)at * n / wanted), over = (at + 1) * n - (from + 1) * wanted;
    float part = over <= 0 ? 0.f : (float)(over % n) / n;
    return {from, within(from + 1, n), part};
}

static __device__ float mixed(const float* map, int pitch, Spot y, Spot x) {
    const float *top = map + (long long)y.from * pitch, *low = map + (long long)y.to * pitch;
    float above = top[x.from] + (top[x.to] - top[x.from]) * x.part;
    float below = low[x.from] + (low[x.to] - low[x.from]) * x.part;
    return above + (below - above) * y.part;
}

// Bytes as OpenCV mixes them: in fixed point of 11 bits, rounded to a byte.
static __device__ float mixed(const u8* map, int pitch, Spot y, Spot x) {
    const u8 *top = map + (long long)y.from * pitch, *low = map + (long long)y.to * pitch;
    int right = (int)rintf(2048 * x.part), left = (int)rintf(2048 * (1 - x.part));
    int above = (top[x.from] * left + top[x.to] * right) >> 4;
    int below = (low[x.from] * left + low[x.to] * right) >> 4;
    above = ((int)rintf(2048 * (1 - y.part)) * above) >> 16;
    below = ((int)rintf(2048 * y.part) * below) >> 16;
    return (above + below + 2) >> 2;
}

template <typename T>
static __device__ float point(const T* map, int h, int w, int y, int x, int to_h, int to_w) {
    return mixed(map, w, linear(y, h, to_h), linear(x, w, to_w));
}

// cv2.resize, INTER_AREA where both sides shrink: every pixel counts by how much of it is covered.
template <typename T>
static __device__ float area(const T* map, int pitch, int h, int w, int y, int x, int to_h, int to_w) {
    long long top = (long long)y * h, left = (long long)x * w;  // in 1 / to_h, 1 / to_w of a pixel
    float sum = 0;
    for (int r = (int)(top / to_h); (long long)r * to_h < top + h; r++) {
        long long from = (long long)r * to_h, to = from + to_h;
        float rows = (float)((to < top + h ? to : top + h) - (from > top ? from : top)) / h, row = 0;
        for (int c = (int)(left / to_w); (long long)c * to_w < left + w; c++) {
            from = (long long)c * to_w, to = from + to_w;
            row += map[(long long)r * pitch + c] *
                   ((float)((to < left + w ? to : left + w) - (from > left ? from : left)) / w);
        }
        sum += rows * row;
    }
    return sum;
}

// compose.sized, one step.
template <typename T>
static __device__ float sized(const T* map, int pitch, int h, int w, int y, int x, int to_h, int to_w) {
    if (h == to_h && w == to_w) return map[(long long)y * pitch + x];
    if (to_h > h) return mixed(map, pitch, linear(y, h, to_h), linear(x, w, to_w));
    if (to_w > w) return mixed(map, pitch, nearly(y, h, to_h), nearly(x, w, to_w));
    return area(map, pitch, h, w, y, x, to_h, to_w);
}

static __device__ u8 stored(float v) { return (u8)rintf(clipped(v, 0.f, 255.f)); }

extern "C" __global__ void sized_bytes(const u8* map, int h, int w, u8* to, int to_h, int to_w) {
    INSIDE(to_w, to_h);
    float v = sized(map + (long long)Z * h * w, w, h, w, Y, X, to_h, to_w);
    bool is_half = h == 2 * to_h && w == 2 * to_w;  // there, OpenCV rounds halves up
    to[((long long)Z * to_h + Y) * to_w + X] = is_half ? (u8)floorf(v + 0.5f) : stored(v);
}

extern "C" __global__ void sized_floats(
    const float* map, int pitch, int h, int w, float* to, int to_h, int to_w) {
    INSIDE(to_w, to_h);
    to[(long long)Y * to_w + X] = sized(map, pitch, h, w, Y, X, to_h, to_w);
}

// ---- segmenter.py ----

struct State { unsigned apart; int forgets, forgot; };  // apart: of two glimpses, in sixteenths

// Segmenter.segment's picture: rgb_of, Letterbox.pad, and how far the glimpse of it has moved.
// luma and chroma are of the content's size; coding: R'G'B' = the matrix's rows * (Y, U, V, 1).
extern "C" __global__ void thumbnail(
    const u8* luma, const u8* chroma, const float* coding, float* image, int in_h, int in_w,
    int top, int left, int h, int w, float* glimpse, int step, State* state) {
    if (X == 0 && Y == 0) { state->forgot = state->forgets; state->forgets = 0; }
    INSIDE(in_w, in_h);
    int y = Y - top, x = X - left;
    float rgb[3] = {127.f, 127.f, 127.f};
    if (0 <= y && y < h && 0 <= x && x < w)
        for (int c = 0, at = y * w + x; c < 3; c++) {
            const float* row = coding + 4 * c;
            float v = row[0] * luma[at] + row[1] * chroma[at] + row[2] * chroma[h * w + at];
            rgb[c] = 255.f * clipped(v + row[3], 0.f, 1.f);
        }
    bool is_seen = Y % step == 0 && X % step == 0;
    float* before = glimpse + 3 * ((Y / step) * ((in_w + step - 1) / step) + X / step);
    float moved = 0;
    for (int c = 0; c < 3; c++) {
        image[3 * (Y * in_w + X) + c] = rgb[c];
        if (is_seen) { moved += fabsf(rgb[c] - before[c]); before[c] = rgb[c]; }
    }
    if (is_seen) atomicAdd(&state->apart, (unsigned)(16.f * moved + 0.5f));
}

// Segmenter._remembered. flags: whether it starts anew; whether the answer is no number.
extern "C" __global__ void remember(
    const float* alpha, float* previous, int count, const State* state, unsigned cut, int* flags) {
    INSIDE(count, 1);
    bool starts_anew = state->forgot || state->apart > cut;
    previous[X] = starts_anew ? 0.f : alpha[X];
    if (X == 0) { flags[0] = starts_anew; flags[1] = 0; }
}

extern "C" __global__ void check(const float* alpha, int count, State* state, int* flags) {
    INSIDE(count, 1);
    if (X == 0) state->apart = 0;
    if (!(fabsf(alpha[X]) < 3.4e38f)) { state->forgets = 1; flags[1] = 1; }
}

// ---- matte.py ----

static __device__ void guides_at(
    const u8* luma, const u8* chroma, int count, int at, const float* scales, float* guides) {
    guides[0] = luma[at] * scales[0];
    guides[1] = chroma[at] * scales[1];
    guides[2] = chroma[count + at] * scales[1];
}

// _lines, up to the first solutions. lines: 3 gains, offset, share of the matte that they explain.
extern "C" __global__ void fit_lines(
    const float* alpha, const u8* luma, const u8* chroma, int h, int w, const float* scales,
    int window, float flatness, float* lines) {
    INSIDE(w, h);
    float sums[14] = {};  // of alpha, 3 guides, 6 products, 3 products with alpha, alpha squared
    for (int dy = -(window / 2); dy <= window / 2; dy++)
        for (int dx = -(window / 2); dx <= window / 2; dx++) {
            int at = reflected(Y + dy, h) * w + reflected(X + dx, w);
            float a = firm(alpha[at]), g[3];
            guides_at(luma, chroma, h * w, at, scales, g);
            sums[0] += a;
            for (int row = 0, k = 4; row < 3; row++) {
                sums[1 + row] += g[row];
                sums[10 + row] += g[row] * a;
                for (int column = 0; column <= row; column++, k++) sums[k] += g[row] * g[column];
            }
            sums[13] += a * a;
        }
    for (int k = 0; k < 14; k++) sums[k] /= window * window;
    float m[3][3], wanted[3], gains[3];
    for (int row = 0, k = 4; row < 3; row++) {
        wanted[row] = gains[row] = sums[10 + row] - sums[1 + row] * sums[0];
        for (int column = 0; column <= row; column++, k++)
            m[row][column] = sums[k] - sums[1 + row] * sums[1 + column];
        m[row][row] += flatness;
    }
    for (int pivot = 2; pivot > 0; pivot--)
        for (int row = 0; row < pivot; row++) {
            float factor = m[pivot][row] / m[pivot][pivot];
            for (int column = 0; column <= row; column++)
                m[row][column] -= factor * m[pivot][column];
            gains[row] -= factor * gains[pivot];
        }
    float offset = sums[0], explained = 0, variance = sums[13] - sums[0] * sums[0] + flatness;
    for (int row = 0; row < 3; row++) {
        for (int column = 0; column < row; column++) gains[row] -= m[row][column] * gains[column];
        gains[row] /= m[row][row];
        offset -= gains[row] * sums[1 + row];
        explained += gains[row] * wanted[row];
    }
    float found[5] = {gains[0], gains[1], gains[2], offset, clipped(explained / variance, 0.f, 1.f)};
    for (int k = 0; k < 5; k++) lines[k * h * w + Y * w + X] = found[k];
}

// _lines, the rest: windows' means, and what no line explains put back. smooth: 3 gains, offset.
extern "C" __global__ void smooth_lines(
    const float* alpha, const u8* luma, const u8* chroma, int h, int w, const float* scales,
    int window, const float* lines, float* smooth) {
    INSIDE(w, h);
    float means[5] = {};
    for (int dy = -(window / 2); dy <= window / 2; dy++)
        for (int dx = -(window / 2); dx <= window / 2; dx++) {
            int at = reflected(Y + dy, h) * w + reflected(X + dx, w);
            for (int k = 0; k < 5; k++) means[k] += lines[k * h * w + at];
        }
    for (int k = 0; k < 5; k++) means[k] /= window * window;
    int at = Y * w + X;
    float g[3], missing = firm(alpha[at]) - means[3], blindness = (1 - means[4]) * (1 - means[4]);
    guides_at(luma, chroma, h * w, at, scales, g);
    for (int k = 0; k < 3; k++) {
        missing -= means[k] * g[k];
        smooth[k * h * w + at] = means[k];
    }
    smooth[3 * h * w + at] = means[3] + blindness * missing;
}

// along_edges at the chroma planes' size: what their gains and the offset come to.
extern "C" __global__ void chroma_lines(
    const u8* chroma, int h, int w, const float* lines, int small_h, int small_w,
    const float* scales, float* sum) {
    INSIDE(w, h);
    int n = small_h * small_w;
    float v = point(lines + 3 * n, small_h, small_w, Y, X, h, w);
    for (int k = 0; k < 2; k++)
        v += scales[1] * chroma[((long long)k * h + Y) * w + X] *
             point(lines + (1 + k) * n, small_h, small_w, Y, X, h, w);
    sum[(long long)Y * w + X] = v;
}

// cv2.blur by 3 × 3.
extern "C" __global__ void smooth_chroma(const float* map, int h, int w, float* to) {
    INSIDE(w, h);
    float sum = 0;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            sum += map[(long long)reflected(Y + dy, h) * w + reflected(X + dx, w)];
    to[(long long)Y * w + X] = sum / 9;
}

// along_edges at full size, with the firm ends of MatteRefiner.refine.
extern "C" __global__ void luma_lines(
    const u8* luma, int h, int w, const float* lines, int small_h, int small_w,
    const float* scales, const float* chroma, int ch, int cw, float* alpha) {
    INSIDE(w, h);
    long long at = (long long)Y * w + X;
    float v = luma[at] * scales[0] * point(lines, small_h, small_w, Y, X, h, w);
    alpha[at] = clipped(v + point(chroma, ch, cw, Y, X, h, w), 0.f, 1.f);
}

// The firm ends alone, for evenly.
extern "C" __global__ void firm_ends(float* alpha, int count) {
    INSIDE(count, 1);
    alpha[X] = clipped(firm(alpha[X]), 0.f, 1.f);
}

// _moved: cv2.dilate or erode; half_widths are the disk's, row by row.
extern "C" __global__ void moved(
    const float* alpha, int h, int w, const int* half_widths, int radius, int outward, float* to) {
    INSIDE(w, h);
    float sign = outward ? 1.f : -1.f, most = -2.f;
    for (int dy = -radius; dy <= radius; dy++) {
        int y = Y + dy, half = half_widths[dy + radius];
        if (y < 0 || y >= h) continue;
        for (int x = within(X - half, w); x <= within(X + half, w); x++)
            most = fmaxf(most, sign * alpha[(long long)y * w + x]);
    }
    to[(long long)Y * w + X] = sign * most;
}

// grown: between two radii.
extern "C" __global__ void between(const float* near, const float* far, float part, int count, float* to) {
    INSIDE(count, 1);
    to[X] = near[X] + part * (far[X] - near[X]);
}

// feathered: the other side's matte.
extern "C" __global__ void other_side(const float* alpha, int count, float* to) {
    INSIDE(count, 1);
    to[X] = 1 - alpha[X];
}

// feathered: nothing of what was there is lost.
extern "C" __global__ void softened(const float* alpha, const float* soft, int count, float* to) {
    INSIDE(count, 1);
    to[X] = fmaxf(alpha[X], fminf(soft[X], 1.f));
}

// cv2.GaussianBlur along one axis, BORDER_REPLICATE; taps: the middle one first. Added up as OpenCV
// does, which leaves even surfaces exactly as they are.
extern "C" __global__ void gaussian(
    const float* map, int h, int w, const float* taps, int reach, int down, float* to) {
    INSIDE(w, h);
    const float* plane = map + (long long)Z * h * w;
    long long at = (long long)Y * w + X;
    float sum = taps[0] * plane[at];
    for (int k = 1; k <= reach; k++) {
        long long before = down ? (long long)within(Y - k, h) * w + X : at - X + within(X - k, w);
        long long after = down ? (long long)within(Y + k, h) * w + X : at - X + within(X + k, w);
        sum += taps[k] * (plane[before] + plane[after]);
    }
    to[(long long)Z * h * w + at] = sum;
}

// ---- foreground.py ----

// _sampled of alpha and of the planes: 4 small pictures.
extern "C" __global__ void sample(
    const float* alpha, const u8* luma, int h, int w, const u8* chroma, int ch, int cw,
    float* small, int small_h, int small_w) {
    INSIDE(small_w, small_h);
    int n = small_h * small_w, at = Y * small_w + X;
    small[at] = point(alpha, h, w, Y, X, small_h, small_w);
    small[n + at] = point(luma, h, w, Y, X, small_h, small_w);
    for (int k = 0; k < 2; k++)
        small[(2 + k) * n + at] =
            point(chroma + (long long)k * ch * cw, ch, cw, Y, X, small_h, small_w);
}

// loops._means of one color: weights are alpha or 1 - alpha, and a little.
static __device__ float near_mean(
    const float* color, const float* alpha, int is_room, float least, int h, int w, int y, int x,
    int window) {
    float sum = 0, norm = 0;
    for (int dy = -(window / 2); dy <= window / 2; dy++)
        for (int dx = -(window / 2); dx <= window / 2; dx++) {
            int at = reflected(y + dy, h) * w + reflected(x + dx, w);
            float weight = (is_room ? 1 - alpha[at] : alpha[at]) + least;
            sum += weight * color[at];
            norm += weight;
        }
    return sum / norm;
}

static __device__ float left_over(float picture, float alpha, float person, float room) {
    float rest = picture - room - alpha * (person - room);
    return rest / (alpha * alpha + (1 - alpha) * (1 - alpha));
}

// loops.estimate, the wide windows. Z: a plane; wide: its person's colors, then the room's.
extern "C" __global__ void wide_colors(
    const float* small, int h, int w, float least, int window, float* wide) {
    INSIDE(w, h);
    int n = h * w, at = Y * w + X;
    const float* own = small + (1 + Z) * n;
    float a = small[at];
    float person = near_mean(own, small, 0, least, h, w, Y, X, window);
    float room = near_mean(own, small, 1, least, h, w, Y, X, window);
    float rest = left_over(own[at], a, person, room);
    wide[2 * Z * n + at] = person + a * rest;
    wide[(2 * Z + 1) * n + at] = room + (1 - a) * rest;
}

// loops.estimate, the narrow windows. Z: person's and room's colors of every plane.
extern "C" __global__ void narrow_colors(
    const float* small, const float* wide, int h, int w, float least, int window, float* colors) {
    INSIDE(w, h);
    int n = h * w;
    colors[Z * n + Y * w + X] = near_mean(wide + Z * n, small, Z % 2, least, h, w, Y, X, window);
}

// clean, in place. Z: planes of one size; colors: their person's, room's, and so on.
extern "C" __global__ void clean(
    u8* plane, int h, int w, const float* alpha, int full_h, int full_w, const float* colors,
    int small_h, int small_w, float low, float high) {
    INSIDE(w, h);
    float a = sized(alpha, full_w, full_h, full_w, Y, X, h, w);
    if (stored(255 * a) == 0 || stored(255 * a) == 255) return;
    const float* near = colors + 2 * Z * small_h * small_w;
    float person = point(near, small_h, small_w, Y, X, h, w);
    float room = point(near + small_h * small_w, small_h, small_w, Y, X, h, w);
    u8* at = plane + ((long long)Z * h + Y) * w + X;
    float own = *at, color = person + a * left_over(own, a, person, room);
    *at = stored(clipped(color, fminf(low, own), fmaxf(high, own)));
}

// ---- blur.py ----

// _Room: its weights, and the planes times these; 1 + count maps. Empties the sums.
extern "C" __global__ void weigh(
    const float* alpha, const u8* planes, int count, int h, int w, float* weighted, float* sums) {
    if (X == 0 && Y == 0)
        for (int k = 0; k < 1 + 2 * count; k++) sums[k] = 0;
    INSIDE(w, h);
    float person = 0;
    for (int y = within(Y - 1, h); y <= within(Y + 1, h); y++)
        for (int x = within(X - 1, w); x <= within(X + 1, w); x++)
            person = fmaxf(person, alpha[y * w + x]);
    float weight = person == 0 ? 1.f : 1e-4f * (1 - person);
    int n = h * w, at = Y * w + X;
    weighted[at] = weight;
    for (int k = 0; k < count; k++) weighted[(1 + k) * n + at] = weight * planes[k * n + at];
}

// Sums of the weights, of the weighted planes, and of the planes: every thread's, then all.
extern "C" __global__ void sum_up(
    const float* weighted, const u8* planes, int count, int n, int threads, float* sums) {
    INSIDE(threads, 1);
    float own[7] = {};
    for (int at = X; at < n; at += threads)
        for (int k = 0; k <= count; k++) {
            own[k] += weighted[k * n + at];
            if (k < count) own[1 + count + k] += planes[k * n + at];
        }
    for (int k = 0; k < 1 + 2 * count; k++) atomicAdd(&sums[k], own[k]);
}

// _Room.behind, before it is enlarged; blurred: the weights, then the planes times these.
extern "C" __global__ void room(
    const float* blurred, int count, int h, int w, const float* sums, float least, u8* planes) {
    INSIDE(w, h);
    int n = h * w, at = Y * w + X;
    float anywhere = sums[0] ? sums[1 + Z] / sums[0] : sums[1 + count + Z] / n;
    float norm = blurred[at] + least;
    planes[Z * n + at] = stored((blurred[(1 + Z) * n + at] + least * anywhere) / norm);
}

// ---- compose.py ----

// composite, of planes of one size (Z); what is behind may be smaller.
extern "C" __global__ void composite(
    const u8* plane, int h, int w, const u8* behind, int behind_h, int behind_w,
    const float* alpha, int full_h, int full_w, u8* to) {
    INSIDE(w, h);
    long long at = ((long long)Z * h + Y) * w + X;
    const u8* far = behind + (long long)Z * behind_h * behind_w;
    int b = (int)rintf(sized(far, behind_w, behind_h, behind_w, Y, X, h, w));
    to[at] = stored(b + (plane[at] - b) * sized(alpha, full_w, full_h, full_w, Y, X, h, w));
}
