/**
 * Filling outlines and brush strokes into a mask by the rules that drag_core.motion.task.draw gets from OpenCV: corners
 * rounded to pixels, edges drawn with Bresenham's line, the inside by the even-odd rule; a stroke is bands and discs
 * of a whole radius.
 *
 * @typedef {[number, number]} Point
 * @typedef {{data: Uint8Array, x: number, y: number, w: number, h: number}} Mask rows of w bytes in {0, 1}; its first
 *   byte is the pixel (x, y) of the picture
 * @typedef {{width: number, height: number}} Size of the picture: nothing is drawn outside, and lines are cut at its
 *   border
 */

const FAR = 1 << 20 // corners farther out are drawn there, as in drag_core
const ONE = 65536 // x along an edge is kept in 1/65536 pixel

/** To the nearest whole number, halves to the even one, as Python rounds. @param {number} v */
export function roundEven(v) {
  const down = Math.floor(v), rest = v - down
  return rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1
}

/** @param {Point} p @returns {Point} */
export const pixelOf = ([x, y]) => [within(x), within(y)]

const within = (/** @type {number} */ v) => roundEven(Math.min(Math.max(v, -FAR), FAR))

/**
 * Pixels x0..x1 of row y, cut to the mask.
 * @param {Mask} mask @param {number} y @param {number} x0 @param {number} x1 @param {number} value
 */
function span(mask, y, x0, x1, value) {
  const row = y - mask.y
  if (row < 0 || row >= mask.h) return
  const a = Math.max(x0 - mask.x, 0), b = Math.min(x1 - mask.x, mask.w - 1)
  if (a <= b) mask.data.fill(value, row * mask.w + a, row * mask.w + b + 1)
}

/**
 * Both ends of a line, cut at the picture's border, and whether it lies inside at all.
 * @param {Point} p @param {Point} q @param {Size} size
 */
function cut(p, q, { width, height }) {
  let [x1, y1] = p, [x2, y2] = q
  const right = width - 1, bottom = height - 1
  const sides = (/** @type {number} */ x) => (x < 0 ? 1 : 0) + (x > right ? 2 : 0)
  const code = (/** @type {number} */ x, /** @type {number} */ y) => sides(x) + (y < 0 ? 4 : 0) + (y > bottom ? 8 : 0)
  let c1 = code(x1, y1), c2 = code(x2, y2)
  if (!(c1 & c2) && (c1 | c2)) {
    if (c1 & 12) {
      const a = c1 < 8 ? 0 : bottom
      x1 += Math.trunc((a - y1) * (x2 - x1) / (y2 - y1))
      y1 = a
      c1 = sides(x1)
    }
    if (c2 & 12) {
      const a = c2 < 8 ? 0 : bottom
      x2 += Math.trunc((a - y2) * (x2 - x1) / (y2 - y1))
      y2 = a
      c2 = sides(x2)
    }
    if (!(c1 & c2) && (c1 | c2)) {
      if (c1) {
        const a = c1 === 1 ? 0 : right
        y1 += Math.trunc((a - x1) * (y2 - y1) / (x2 - x1))
        x1 = a
        c1 = 0
      }
      if (c2) {
        const a = c2 === 1 ? 0 : right
        y2 += Math.trunc((a - x2) * (y2 - y1) / (x2 - x1))
        x2 = a
        c2 = 0
      }
    }
  }
  return /** @type {[Point, Point, boolean]} */ ([[x1, y1], [x2, y2], !(c1 | c2)])
}

/**
 * Bresenham's line between two pixels of the picture, from the left one.
 * @param {Mask} mask @param {Point} p @param {Point} q @param {number} value
 */
function line(mask, p, q, value) {
  if (p[0] > q[0]) [p, q] = [q, p]
  const dx = q[0] - p[0], dy = Math.abs(q[1] - p[1]), down = q[1] < p[1] ? -1 : 1
  let [x, y] = p
  const steep = dy > dx, long = Math.max(dx, dy), wide = Math.min(dx, dy)
  let error = long - 2 * wide
  for (let i = 0; i <= long; i++) {
    const column = x - mask.x, row = y - mask.y
    if (column >= 0 && row >= 0 && column < mask.w && row < mask.h) mask.data[row * mask.w + column] = value
    const aside = error < 0
    error += aside ? 2 * long - 2 * wide : -2 * wide
    if (steep) [x, y] = [x + (aside ? 1 : 0), y + down]
    else [x, y] = [x + 1, y + (aside ? down : 0)]
  }
}

/**
 * The inside of an outline and its edges become `value`. @param {Mask} mask @param {Point[]} outline
 * @param {Size} size @param {number} value
 */
export function fillOutline(mask, outline, size, value) {
  const corners = outline.map(pixelOf)
  const edges = []
  let p = corners[corners.length - 1]
  for (const q of corners) {
    const [a, b, seen] = cut(p, q, size)
    if (seen) line(mask, a, b, value)
    if (p[1] !== q[1]) {
      const from = p[1] < q[1] ? a : b // the slope of the part that is drawn, none where only a pixel of it is
      const dx = a[1] === b[1] ? 0 : Math.trunc((b[0] - a[0]) * ONE / (b[1] - a[1]))
      const y0 = Math.min(p[1], q[1])
      edges.push({ y0, y1: Math.max(p[1], q[1]), x: from[0] * ONE + (y0 - from[1]) * dx, dx })
    }
    p = q
  }
  edges.sort((a, b) => a.y0 - b.y0)
  fillEdges(mask, edges, value)
}

/** @typedef {{y0: number, y1: number, x: number, dx: number}} Edge */

/**
 * @param {Mask} mask @param {Edge[]} edges sorted by y0 @param {number} value
 */
function fillEdges(mask, edges, value) {
  let next = 0
  let live = /** @type {Edge[]} */ ([])
  for (let y = mask.y; y < mask.y + mask.h; y++) {
    while (next < edges.length && edges[next].y0 <= y) live.push(edges[next++])
    live = live.filter((e) => e.y1 > y)
    if (!live.length) {
      if (next === edges.length) return
      continue
    }
    const xs = live.map((e) => e.x + (y - e.y0) * e.dx).sort((a, b) => a - b)
    for (let i = 0; i + 1 < xs.length; i += 2) span(mask, y, Math.ceil(xs[i] / ONE), Math.floor(xs[i + 1] / ONE), value)
  }
}

/**
 * A disc around a pixel, by the midpoint rule.
 * @param {Mask} mask @param {Point} centre @param {number} radius @param {number} value
 */
function disc(mask, [cx, cy], radius, value) {
  let error = 0, dx = radius, plus = 1, minus = 2 * radius - 1
  for (let dy = 0; dx >= dy; dy++) {
    for (const [up, out] of [[dy, dx], [dx, dy]]) {
      span(mask, cy - up, cx - out, cx + out, value)
      span(mask, cy + up, cx - out, cx + out, value)
    }
    error += plus
    plus += 2
    if (error > 0) {
      error -= minus
      dx--
      minus -= 2
    }
  }
}

/**
 * A line between two places, from pixel to pixel along its longer side.
 * @param {Mask} mask @param {Point} p @param {Point} q @param {number} value
 */
function thinLine(mask, p, q, value) {
  const flat = Math.abs(q[0] - p[0]) > Math.abs(q[1] - p[1]), along = flat ? 0 : 1
  if (p[along] > q[along]) [p, q] = [q, p]
  const slope = (q[1 - along] - p[1 - along]) / (q[along] - p[along] || 1)
  const first = near(p[along]), steps = Math.floor(q[along] - p[along])
  const put = (/** @type {number} */ u, /** @type {number} */ v) => (flat ? span(mask, v, u, u, value) : span(mask, u, v, v, value))
  put(near(q[along]), near(q[1 - along]))
  for (let i = 0; i <= steps; i++) put(first + i, near(p[1 - along] + i * slope))
}

const near = (/** @type {number} */ v) => Math.floor(v + 0.5)

/**
 * A band of half width `radius` from pixel p to pixel q.
 * @param {Mask} mask @param {Point} p @param {Point} q @param {number} radius @param {number} value
 */
function band(mask, p, q, radius, value) {
  const length = Math.hypot(q[0] - p[0], q[1] - p[1])
  if (!length) return
  const nx = (p[1] - q[1]) * radius / length, ny = (q[0] - p[0]) * radius / length
  const corners = /** @type {Point[]} */ ([
    [p[0] + nx, p[1] + ny], [q[0] + nx, q[1] + ny], [q[0] - nx, q[1] - ny], [p[0] - nx, p[1] - ny]
  ])
  corners.forEach((c, i) => thinLine(mask, c, corners[(i + 1) % 4], value))
  const rows = corners.map((c) => near(c[1]))
  const low = Math.max(mask.y, Math.min(...rows)), high = Math.min(mask.y + mask.h - 1, Math.max(...rows))
  for (let y = low; y <= high; y++) {
    let left = Infinity, right = -Infinity
    for (let i = 0; i < 4; i++) {
      const j = (i + 1) % 4
      if (Math.min(rows[i], rows[j]) > y || Math.max(rows[i], rows[j]) < y) continue
      const part = rows[i] === rows[j] ? 0 : (y - rows[i]) / (rows[j] - rows[i])
      const x = corners[i][0] + part * (corners[j][0] - corners[i][0])
      left = Math.min(left, x)
      right = Math.max(right, x)
    }
    span(mask, y, near(left), near(right), value)
  }
}

/** The whole radius that a stroke is drawn with. @param {number} radius */
export const brush = (radius) => Math.min(Math.max(1, roundEven(radius)), 16000)

/** @param {Mask} mask @param {{points: Point[], radius: number}} stroke @param {number} value */
export function fillStroke(mask, stroke, value) {
  const points = stroke.points.map(pixelOf), radius = brush(stroke.radius)
  points.forEach((p, i) => {
    if (i) band(mask, points[i - 1], p, radius, value)
    disc(mask, p, radius, value)
  })
}
