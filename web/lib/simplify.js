/**
 * Fewer corners for outlines and strokes (Douglas and Peucker 1973).
 * @typedef {[number, number]} Point
 */

/** Distance of p to the segment a-b. @param {Point} p @param {Point} a @param {Point} b */
function away(p, a, b) {
  const dx = b[0] - a[0], dy = b[1] - a[1], n = dx * dx + dy * dy
  const t = n > 0 ? Math.min(1, Math.max(0, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / n)) : 0
  return Math.hypot(p[0] - a[0] - t * dx, p[1] - a[1] - t * dy)
}

/**
 * For every point the tolerance up to which it is kept, in pixels; Infinity for the ends of a line, and for the first
 * corner of a polygon and the corner farthest from it.
 * @param {Point[]} points @param {boolean} closed @returns {Float64Array}
 */
function significance(points, closed) {
  const n = points.length, out = new Float64Array(n)
  const at = (/** @type {number} */ i) => points[i % n]
  const work = []
  out[0] = Infinity
  if (closed) {
    let far = 0, most = -1
    for (let i = 1; i < n; i++) {
      const d = Math.hypot(points[i][0] - points[0][0], points[i][1] - points[0][1])
      if (d > most) [most, far] = [d, i]
    }
    out[far] = Infinity
    work.push([0, far, Infinity], [far, n, Infinity])
  } else {
    out[n - 1] = Infinity
    work.push([0, n - 1, Infinity])
  }
  while (work.length) {
    const [a, b, bound] = /** @type {number[]} */ (work.pop())
    let far = -1, most = -1
    for (let i = a + 1; i < b; i++) {
      const d = away(points[i], at(a), at(b))
      if (d > most) [most, far] = [d, i]
    }
    if (far < 0) continue
    out[far] = Math.min(most, bound) // never above what it hangs on, so that any cut leaves a Douglas-Peucker line
    work.push([a, far, out[far]], [far, b, out[far]])
  }
  return out
}

/**
 * Every k-th point: only to bound the time that a line of very many points takes.
 * @param {Point[]} points @param {number} most
 */
const thinned = (points, most) => {
  const step = Math.ceil(points.length / most)
  return step > 1 ? points.filter((_, i) => i % step === 0 || i === points.length - 1) : points
}

/**
 * The outline without the corners that lie within `tolerance` pixels of what stays; at least a triangle.
 * @param {Point[]} polygon @param {number} tolerance @param {boolean} [closed] false: a line @returns {Point[]}
 */
export function simplify(polygon, tolerance, closed = true) {
  const least = closed ? 3 : 2
  if (polygon.length <= least) return polygon
  const kept = significance(polygon, closed)
  const out = polygon.filter((_, i) => kept[i] > tolerance)
  return out.length < least ? mostSignificant(polygon, kept, least) : out
}

/**
 * The outline with at most `most` corners: those that matter most. The same array if it has no more.
 * @param {Point[]} polygon @param {number} most @param {boolean} [closed] false: a line @returns {Point[]}
 */
export function simplifyTo(polygon, most, closed = true) {
  if (polygon.length <= most) return polygon
  const points = thinned(polygon, 20000)
  return points.length <= most ? points : mostSignificant(points, significance(points, closed), most)
}

/** @param {Point[]} points @param {Float64Array} kept @param {number} most */
function mostSignificant(points, kept, most) {
  const order = [...kept.keys()].sort((i, j) => (kept[i] === kept[j] ? i - j : kept[i] < kept[j] ? 1 : -1))
  const chosen = new Set(order.slice(0, most))
  return points.filter((_, i) => chosen.has(i))
}
