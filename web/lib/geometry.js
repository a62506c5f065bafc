/**
 * Motions of regions as matrices; the same maths as drag_core/motion/geometry.py (tests/golden/geometry_vectors.json holds
 * both to it). Points are [x, y] in image pixels, origin at the centre of the top-left pixel, y down. Angles are
 * radians, positive from +x towards +y: clockwise on the screen.
 *
 * @typedef {[number, number]} Point
 * @typedef {[number, number, number, number, number, number]} Matrix [a, b, c, d, e, f] as setTransform takes it: x'
 *   = a x + c y + e, y' = b x + d y + f
 * @typedef {{shift: Point, angle: number, scale: Point, anchor: Point, path: Point[]}} Motion scale and turn about
 *   `anchor`, then shift; `path` holds shifts on the way from [0, 0] to `shift`
 */

const radians = (/** @type {number} */ degrees) => degrees * Math.PI / 180
/** @param {Point} p @param {Point} q */
const distance = (p, q) => Math.hypot(q[0] - p[0], q[1] - p[1])

/** The motion that moves nothing. @param {Point} [anchor] @returns {Motion} */
export function stillMotion(anchor = [0, 0]) {
  return { shift: [0, 0], angle: 0, scale: [1, 1], anchor: [anchor[0], anchor[1]], path: [] }
}

/**
 * The motion of a region of the document at full progress. What is not said yet (no target, a turn shown from its own
 * anchor) moves nothing.
 * @param {{task: string, target?: Point, anchor?: Point, angle?: number, scale?: Point, path?: Point[]}} region
 * @param {Point} centroid of its set pixels @returns {Motion}
 */
export function motionOf(region, centroid) {
  const motion = stillMotion(region.anchor ?? centroid)
  const { target } = region
  if (region.task === 'scale') {
    if (region.scale && Math.min(...region.scale) > 0) motion.scale = [region.scale[0], region.scale[1]]
  } else if (region.task === 'rotation') {
    if (region.angle != null) motion.angle = radians(region.angle)
    else if (target && distance(centroid, motion.anchor) >= 1 && distance(target, motion.anchor) >= 1) {
      motion.angle = turnAngle(centroid, target, motion.anchor)
    }
  } else {
    motion.anchor = [0, 0]
    if (target) {
      const [x, y] = centroid
      motion.shift = [target[0] - x, target[1] - y]
      motion.path = (region.path ?? []).map(([px, py]) => [px - x, py - y])
    }
  }
  return motion
}

/**
 * Progress in (0, 1] at the places of the motion's path and at its end; [1] without a path.
 * @param {Motion} motion @returns {number[]}
 */
export function stops({ shift, path }) {
  const corners = /** @type {Point[]} */ ([[0, 0], ...path, shift])
  const lengths = []
  let sum = 0
  for (let i = 1; i < corners.length; i++) lengths.push(sum += distance(corners[i - 1], corners[i]))
  return sum > 0 ? lengths.map((n) => n / sum) : [1]
}

/**
 * The place at `progress` in [0, 1] of a way from `start` over `path` to `target`, by length.
 * @param {Point} start @param {Point[]} path @param {Point} target @param {number} progress @returns {Point}
 */
export function pathPoint(start, path, target, progress) {
  const corners = [start, ...path, target]
  const ends = stops({ ...stillMotion(), shift: from(start, target), path: path.map((p) => from(start, p)) })
  let begin = 0
  for (let i = 0; i < ends.length; i++) {
    const [a, b] = [corners[i], corners[i + 1]]
    if (progress <= ends[i] && ends[i] > begin) {
      const part = (progress - begin) / (ends[i] - begin)
      return [a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])]
    }
    begin = ends[i]
  }
  return [start[0] + progress * (target[0] - start[0]), start[1] + progress * (target[1] - start[1])]
}

/** @param {Point} p @param {Point} q @returns {Point} */
const from = (p, q) => [q[0] - p[0], q[1] - p[1]]

/**
 * The pixel map of a motion at `progress` in [0, 1].
 * @param {Motion} motion @param {number} [progress] @returns {Matrix}
 */
export function matrixOf(motion, progress = 1) {
  const cos = Math.cos(progress * motion.angle), sin = Math.sin(progress * motion.angle)
  const sx = motion.scale[0] ** progress, sy = motion.scale[1] ** progress
  const a = cos * sx, b = sin * sx, c = -sin * sy, d = cos * sy
  const [ax, ay] = motion.anchor, [x, y] = pathPoint([0, 0], motion.path, motion.shift, progress)
  return [a, b, c, d, ax - a * ax - c * ay + x, ay - b * ax - d * ay + y]
}

/** @param {Matrix} m @param {Point} p @returns {Point} */
export const applyTo = (m, p) => [m[0] * p[0] + m[2] * p[1] + m[4], m[1] * p[0] + m[3] * p[1] + m[5]]

/** First `n`, then `m`. @param {Matrix} m @param {Matrix} n @returns {Matrix} */
export function multiply(m, n) {
  const [e, f] = applyTo(m, [n[4], n[5]])
  return [
    m[0] * n[0] + m[2] * n[1], m[1] * n[0] + m[3] * n[1],
    m[0] * n[2] + m[2] * n[3], m[1] * n[2] + m[3] * n[3], e, f
  ]
}

/** The map back; null if the matrix flattens the plane. @param {Matrix} m @returns {Matrix | null} */
export function invert([a, b, c, d, e, f]) {
  const det = a * d - b * c
  if (!(Math.abs(det) > 1e-12)) return null
  return [d / det, -b / det, -c / det, a / det, (c * f - d * e) / det, (b * e - a * f) / det]
}

/**
 * A motion given in pixels of a from[0] x from[1] picture, in pixels of a to[0] x to[1] one (pixel centres kept).
 * @param {Matrix} matrix @param {Point} from @param {Point} to @returns {Matrix}
 */
export function rescale(matrix, from, to) {
  const grid = (/** @type {Point} */ p, /** @type {Point} */ q) => [q[0] / p[0], 0, 0, q[1] / p[1], (q[0] / p[0] - 1) / 2, (q[1] / p[1] - 1) / 2]
  const there = /** @type {Matrix} */ (grid(from, to)), back = /** @type {Matrix} */ (grid(to, from))
  return multiply(multiply(there, matrix), back)
}

/**
 * Signed angle start-anchor-target on the shorter way, in [-pi, pi).
 * @param {Point} start @param {Point} target @param {Point} anchor
 */
export function turnAngle(start, target, anchor) {
  const a = Math.atan2(start[1] - anchor[1], start[0] - anchor[0])
  const b = Math.atan2(target[1] - anchor[1], target[0] - anchor[0])
  const full = 2 * Math.PI
  return ((b - a + Math.PI) % full + full) % full - Math.PI
}

/**
 * Centroid of the area inside a polygon; the mean of its corners if it has no area.
 * @param {Point[]} polygon @returns {Point}
 */
export function polygonCentroid(polygon) {
  const n = polygon.length
  if (!n) return [0, 0]
  const [ox, oy] = polygon[0]
  let area = 0, x = 0, y = 0, sx = 0, sy = 0
  for (let i = 0; i < n; i++) {
    const px = polygon[i][0] - ox, py = polygon[i][1] - oy
    const qx = polygon[(i + 1) % n][0] - ox, qy = polygon[(i + 1) % n][1] - oy
    const cross = px * qy - qx * py
    area += cross
    x += (px + qx) * cross
    y += (py + qy) * cross
    sx += px
    sy += py
  }
  if (Math.abs(area) < 1e-9) return [ox + sx / n, oy + sy / n]
  return [ox + x / (3 * area), oy + y / (3 * area)]
}

/**
 * The convex hull, without points on its edges, turning from +x towards +y (Andrew's monotone chain).
 * @param {Point[]} points @returns {Point[]}
 */
export function hull(points) {
  const sorted = [...points].sort((p, q) => p[0] - q[0] || p[1] - q[1])
  const half = (/** @type {Point[]} */ list) => {
    const out = /** @type {Point[]} */ ([])
    for (const p of list) {
      while (out.length > 1 && turn(out[out.length - 2], out[out.length - 1], p) <= 0) out.pop()
      out.push(p)
    }
    out.pop()
    return out
  }
  const out = [...half(sorted), ...half(sorted.reverse())]
  if (out.length === 2 && distance(out[0], out[1]) === 0) out.pop()
  return out.length ? out : sorted.slice(0, 1)
}

/** @param {Point} o @param {Point} p @param {Point} q */
const turn = (o, p, q) => (p[0] - o[0]) * (q[1] - o[1]) - (p[1] - o[1]) * (q[0] - o[0])

/**
 * The 4 corners of the rotated rectangle of least area around `points` (one side lies on an edge of the hull: Freeman
 * and Shapira 1975; the extremes advance with the edge: rotating calipers). A point or a line gives a flat rectangle.
 * @param {Point[]} points at least one @returns {Point[]}
 */
export function minAreaRect(points) {
  const h = hull(points), n = h.length
  if (n === 1) return [0, 0, 0, 0].map(() => [h[0][0], h[0][1]])
  const at = (/** @type {number} */ i) => h[i % n]
  let best = Infinity, out = /** @type {Point[]} */ ([])
  let right = 1, top = 1, left = 1
  for (let i = 0; i < n; i++) {
    const p = at(i), q = at(i + 1), length = distance(p, q)
    const ux = (q[0] - p[0]) / length, uy = (q[1] - p[1]) / length
    const along = (/** @type {number} */ k) => (at(k)[0] - p[0]) * ux + (at(k)[1] - p[1]) * uy
    const across = (/** @type {number} */ k) => (at(k)[1] - p[1]) * ux - (at(k)[0] - p[0]) * uy
    right = Math.max(right, i + 1)
    while (right < i + n && along(right + 1) > along(right)) right++
    top = Math.max(top, right)
    while (top < i + n && across(top + 1) > across(top)) top++
    left = Math.max(left, top)
    while (left < i + n && along(left + 1) < along(left)) left++
    const x0 = along(left), x1 = along(right), y1 = across(top)
    if ((x1 - x0) * y1 < best) {
      best = (x1 - x0) * y1
      out = [[x0, 0], [x1, 0], [x1, y1], [x0, y1]].map(([x, y]) => [p[0] + x * ux - y * uy, p[1] + x * uy + y * ux])
    }
  }
  return out
}
