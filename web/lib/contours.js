/**
 * From pixels to outlines and back without loss: polygons through the centres of border pixels, holes through the
 * centres of the pixels around which they close.
 *
 * @typedef {[number, number]} Point
 * @typedef {{data: Uint8Array, x: number, y: number, w: number, h: number}} Mask
 */

// the neighbours in turning order, clockwise on the screen from +x; the even ones are the four that share a side
const DX = [1, 1, 0, -1, -1, -1, 0, 1], DY = [0, 1, 1, 1, 0, -1, -1, -1]

/**
 * Connected parts, joined run by run (Rosenfeld and Pfaltz 1966).
 * @param {Uint8Array} data (h, w) in {0, 1} @param {number} w @param {number} h @param {4 | 8} ways
 * @returns {{labels: Int32Array, parts: {first: number, size: number, open: boolean}[]}} labels from 1, 0 where
 *   unset; of every part its first pixel in reading order, its number of pixels, and whether it touches the border
 */
export function components(data, w, h, ways) {
  const labels = new Int32Array(w * h), reach = ways === 8 ? 1 : 0
  /** @type {number[]} */
  const starts = [], ends = /** @type {number[]} */ ([]), roots = /** @type {number[]} */ ([]) // runs of set pixels, joined with those that they meet in the row above
  const rootOf = (/** @type {number} */ i) => {
    while (roots[i] !== i) i = roots[i] = roots[roots[i]]
    return i
  }
  let above = 0, here = 0
  for (let y = 0; y < h; y++) {
    const row = y * w, line = data.subarray(row, row + w)
    for (let x = line.indexOf(1); x >= 0; x = line.indexOf(1, x)) {
      const start = row + x, run = starts.length
      while (x < w && line[x]) x++
      starts.push(start)
      ends.push(row + x)
      roots.push(run)
      while (above < here && ends[above] + w + reach <= start) above++
      for (let other = above; other < here && starts[other] + w < row + x + reach; other++) {
        const a = rootOf(other), b = rootOf(run)
        roots[Math.max(a, b)] = Math.min(a, b)
      }
    }
    above = here
    here = starts.length
  }
  const parts = [], numbers = new Int32Array(starts.length)
  for (let run = 0; run < starts.length; run++) {
    const root = rootOf(run), first = starts[run], x = first % w, y = (first - x) / w, size = ends[run] - first
    if (root === run) numbers[run] = parts.push({ first, size: 0, open: false })
    const number = numbers[run] = numbers[root], part = parts[number - 1]
    part.size += size
    part.open ||= x === 0 || y === 0 || x + size === w || y === h - 1
    labels.fill(number, first, ends[run])
  }
  return { labels, parts }
}

/**
 * The outer border of a part as a walk from pixel to pixel, clockwise on the screen, turning left wherever it can.
 * @param {Int32Array} labels @param {number} w @param {number} h @param {number} label @param {number} first
 * @param {4 | 8} ways @returns {Point[]} without the pixels in the middle of straight runs
 */
function border(labels, w, h, label, first, ways) {
  const step = ways === 4 ? 2 : 1
  const sx = first % w, sy = (first - sx) / w
  const inside = (/** @type {number} */ x, /** @type {number} */ y) => x >= 0 && y >= 0 && x < w && y < h && labels[y * w + x] === label
  const follow = (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ from) => {
    for (let k = 0; k < 8; k += step) {
      const d = (from + k) % 8
      if (inside(x + DX[d], y + DY[d])) return d
    }
    return -1
  }
  const out = /** @type {Point[]} */ ([])
  const start = follow(sx, sy, 0) // nothing of the part lies above the first pixel or left of it in its row
  if (start < 0) return [[sx, sy]]
  let x = sx, y = sy, d = start, before = -1
  do {
    if (d !== before) out.push([x, y])
    before = d
    x += DX[d]
    y += DY[d]
    // look first at the left behind: the neighbour after the one that the walk came along
    d = follow(x, y, (d + (ways === 4 ? 6 : d % 2 ? 6 : 7)) % 8)
  } while (x !== sx || y !== sy || d !== start)
  return out
}

/** Pixels in a closed walk and inside it (Pick's theorem). @param {Point[]} walk */
function enclosed(walk) {
  let area = 0, length = 0
  walk.forEach(([x, y], i) => {
    const [u, v] = walk[(i + 1) % walk.length]
    area += x * v - u * y
    length += Math.max(Math.abs(u - x), Math.abs(v - y))
  })
  return Math.abs(area) / 2 + length / 2 + 1
}

/**
 * At least three corners, in the picture's pixels.
 * @param {Point[]} walk @param {number} x @param {number} y @returns {Point[]}
 */
function placed(walk, x, y) {
  const out = walk.map(([u, v]) => /** @type {Point} */ ([u + x, v + y]))
  while (out.length < 3) out.push([...out[out.length - 1]])
  return out
}

/**
 * Outlines that, drawn, give exactly the mask: a polygon around every part, and holes.
 * @param {Mask} mask @returns {{polygons: Point[][], holes: Point[][]}}
 */
export function contours({ data, x, y, w, h }) {
  const { labels, parts } = components(data, w, h, 8)
  const polygons = parts.map(({ first }, i) => placed(border(labels, w, h, i + 1, first, 8), x, y))
  const unset = components(data.map((v) => (v ? 0 : 1)), w, h, 4)
  const holes = /** @type {Point[][]} */ ([])
  unset.parts.forEach(({ first, size, open }, i) => {
    if (open) return
    const walk = border(unset.labels, w, h, i + 1, first, 4)
    if (enclosed(walk) === size) holes.push(placed(walk, x, y))
    else holes.push(...around(unset.labels, w, h, i + 1, x, y))
  })
  return { polygons, holes }
}

/**
 * Outlines of a hole that has islands: cut at the second column of every island, no piece goes around one.
 * @param {Int32Array} labels @param {number} w @param {number} h @param {number} label @param {number} x
 * @param {number} y
 */
function around(labels, w, h, label, x, y) {
  const hole = Uint8Array.from(labels, (v) => (v === label ? 1 : 0))
  const islands = components(hole.map((v) => 1 - v), w, h, 8)
  const firsts = islands.parts.map((p) => (p.open ? -1 : Infinity))
  islands.labels.forEach((v, i) => { if (v && firsts[v - 1] >= 0) firsts[v - 1] = Math.min(firsts[v - 1], i % w) })
  const cuts = [...new Set([0, w, ...firsts.filter((c) => c >= 0).map((c) => c + 1)])].sort((a, b) => a - b)
  const out = /** @type {Point[][]} */ ([])
  for (let k = 0; k + 1 < cuts.length; k++) {
    const left = cuts[k], width = cuts[k + 1] - left
    const slab = new Uint8Array(width * h)
    for (let row = 0; row < h; row++) slab.set(hole.subarray(row * w + left, row * w + left + width), row * width)
    const found = components(slab, width, h, 4)
    found.parts.forEach(({ first }, i) => {
      out.push(placed(border(found.labels, width, h, i + 1, first, 4), x + left, y))
    })
  }
  return out
}
