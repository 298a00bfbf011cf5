// The sweep of excitatory-inhibitory circuits with the state in vector registers, over all cores:
// what the machine can do. Built by limits/limit.py with -DREAL=float|double and -DBYTES=32|64.
#include <cstddef>

constexpr int kVectors = 4;  // independent vectors in flight, to hide latencies
typedef REAL Vec __attribute__((vector_size(BYTES)));
constexpr int kWidth = BYTES / sizeof(REAL);
constexpr int kLanes = kVectors * kWidth;

static inline Vec larger(Vec a, Vec b) { return a > b ? a : b; }
static inline Vec smaller(Vec a, Vec b) { return a < b ? a : b; }

struct Circuit {
  Vec m_ee, rate_i;
  static constexpr REAL rate_e = REAL(0.1);
  inline void slope(Vec e, Vec i, Vec& de, Vec& di) const {
    const Vec zero = {};
    de = (larger(m_ee * e - i + REAL(10), zero) - e) * rate_e;
    di = (larger(e - REAL(10), zero) - i) * rate_i;
  }
};

struct Euler {
  static inline void step(const Circuit& c, REAL h, Vec& e, Vec& i) {
    Vec a, b;
    c.slope(e, i, a, b);
    e += h * a;
    i += h * b;
  }
};

template <int kStages> struct Tableau {
  REAL a[kStages][kStages], b[kStages];
};

constexpr Tableau<4> kRk4 = {{{}, {REAL(.5)}, {0, REAL(.5)}, {0, 0, 1}},
                             {REAL(1. / 6), REAL(1. / 3), REAL(1. / 3), REAL(1. / 6)}};
constexpr Tableau<6> kTsit5 = {
    {{},
     {REAL(0.161)},
     {REAL(-0.008480655492356989), REAL(0.335480655492357)},
     {REAL(2.8971530571054935), REAL(-6.359448489975075), REAL(4.3622954328695815)},
     {REAL(5.325864828439257), REAL(-11.748883564062828), REAL(7.4955393428898365),
      REAL(-0.09249506636175525)},
     {REAL(5.86145544294642), REAL(-12.92096931784711), REAL(8.159367898576159),
      REAL(-0.071584973281401), REAL(-0.028269050394068383)}},
    {REAL(0.09646076681806523), REAL(0.01), REAL(0.4798896504144996), REAL(1.379008574103742),
     REAL(-3.2900695154360807), REAL(2.324710524099774)}};

template <int kStages, const Tableau<kStages>& t> struct RungeKutta {
  static inline __attribute__((always_inline)) void step(const Circuit& c, REAL h, Vec& e, Vec& i) {
    Vec de[kStages], di[kStages];
#pragma GCC unroll 8
    for (int s = 0; s < kStages; s++) {
      Vec x = e, y = i;
#pragma GCC unroll 8
      for (int k = 0; k < s; k++)
        if (t.a[s][k] != 0) {
          x += (h * t.a[s][k]) * de[k];
          y += (h * t.a[s][k]) * di[k];
        }
      c.slope(x, y, de[s], di[s]);
    }
#pragma GCC unroll 8
    for (int s = 0; s < kStages; s++) {
      e += (h * t.b[s]) * de[s];
      i += (h * t.b[s]) * di[s];
    }
  }
};

template <class Method>
static void sweep(long points, int steps, REAL h, const REAL* tau, const REAL* weight, REAL* out) {
#pragma omp parallel for schedule(static)
  for (long first = 0; first < points; first += kLanes) {
    Circuit c[kVectors];
    Vec e[kVectors], i[kVectors], high[kVectors], low[kVectors];
    for (int v = 0; v < kVectors; v++) {
      Vec taus;
      for (int k = 0; k < kWidth; k++) {
        taus[k] = tau[first + v * kWidth + k];
        c[v].m_ee[k] = weight[first + v * kWidth + k];
      }
      c[v].rate_i = REAL(1) / taus;
      e[v] = Vec{} + REAL(50);
      i[v] = Vec{} + REAL(20);
    }
    for (int n = 0; n < steps / 2; n++)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; v++) Method::step(c[v], h, e[v], i[v]);
    for (int v = 0; v < kVectors; v++) high[v] = low[v] = e[v];
    for (int n = 0; n < steps - steps / 2; n++)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; v++) {
        Method::step(c[v], h, e[v], i[v]);
        high[v] = larger(high[v], e[v]);
        low[v] = smaller(low[v], e[v]);
      }
    for (int v = 0; v < kVectors; v++)
      for (int k = 0; k < kWidth; k++) {
        REAL* place = out + 3 * (first + v * kWidth + k);
        place[0] = e[v][k];
        place[1] = i[v][k];
        place[2] = high[v][k] - low[v][k];
      }
  }
}

extern "C" int lanes() { return kLanes; }
// points: a multiple of lanes(); method: 0 Euler, 1 RK4, 2 Tsit5; out: final e, i, swing of e
extern "C" void run(int method, long points, int steps, REAL h, const REAL* tau, const REAL* weight,
                    REAL* out) {
  if (method == 0) sweep<Euler>(points, steps, h, tau, weight, out);
  if (method == 1) sweep<RungeKutta<4, kRk4>>(points, steps, h, tau, weight, out);
  if (method == 2) sweep<RungeKutta<6, kTsit5>>(points, steps, h, tau, weight, out);
}
