/**
 * Super-pixels (SLIC: Achanta et al. 2012): k-means in colour and place, each centre searched for near itself only.
 * Pure; slic_worker.js runs it beside the page.
 *
 * @typedef {[number, number]} Point
 * @typedef {{labels: Int32Array, count: number, width: number, height: number, colours: Float32Array}} Segments
 *   `colours`: the mean L, a, b of every label
 */
import { contours } from './contours.js'

const COMPACTNESS = 12 // CIELAB units of colour that weigh as much as one cell of distance, in a calm picture
const GRAIN = 3 // mean steps from pixel to pixel that do so in a grainy one, whose pieces would fray into specks

/** sRGB bytes -> linear light. */
function gammaTable() {
  return Float32Array.from({ length: 256 }, (_, i) => {
    const v = i / 255
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4
  })
}

/** Cube roots as CIELAB takes them, of 0..1 in steps of 1/4096. */
function rootTable() {
  return Float32Array.from({ length: 4097 }, (_, i) => {
    const t = i / 4096
    return t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116
  })
}

/** L, a, b of every pixel. @param {ArrayLike<number>} rgba @param {number} n pixels @returns {Float32Array} */
export function labOf(rgba, n) {
  const linear = gammaTable(), root = rootTable(), out = new Float32Array(3 * n)
  for (let i = 0, k = 0; i < n; i++, k += 3) {
    const r = linear[rgba[4 * i]], g = linear[rgba[4 * i + 1]], b = linear[rgba[4 * i + 2]]
    const x = root[((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047 * 4096 + 0.5) | 0]
    const y = root[((0.2126729 * r + 0.7151522 * g + 0.0721750 * b) * 4096 + 0.5) | 0]
    const z = root[((0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883 * 4096 + 0.5) | 0]
    out[k] = 116 * y - 16
    out[k + 1] = 500 * (x - y)
    out[k + 2] = 200 * (y - z)
  }
  return out
}

/**
 * Labels from 0, every label one connected part.
 * @param {ArrayLike<number>} rgba (height, width, 4) bytes @param {number} width @param {number} height
 * @param {number} [count] about how many @param {number} [iterations] @returns {Segments}
 */
export function slic(rgba, width, height, count = 600, iterations = 5) {
  const n = width * height
  if (!n) return { labels: new Int32Array(0), count: 0, width, height, colours: new Float32Array(0) }
  const sharp = labOf(rgba, n), grainy = GRAIN * grainOf(sharp, width) > COMPACTNESS
  const lab = grainy ? softened(sharp, width, height) : sharp
  const cell = Math.max(1, Math.sqrt(n / Math.max(1, count)))
  const columns = Math.max(1, Math.round(width / cell)), rows = Math.max(1, Math.round(height / cell))
  const k = columns * rows
  const centres = new Float32Array(5 * k) // L, a, b, x, y
  for (let c = 0; c < k; c++) {
    const x = (c % columns + 0.5) * width / columns - 0.5
    const y = (Math.floor(c / columns) + 0.5) * height / rows - 0.5
    const at = calmest(lab, width, height, Math.round(x), Math.round(y))
    centres.set([lab[3 * at], lab[3 * at + 1], lab[3 * at + 2], at % width, Math.floor(at / width)], 5 * c)
  }
  const weight = (Math.max(COMPACTNESS, GRAIN * grainOf(lab, width)) / cell) ** 2
  const labels = new Int32Array(n).fill(-1), best = new Float32Array(n)
  const sums = new Float64Array(6 * k)
  for (let round = 0; round < iterations; round++) {
    best.fill(Infinity)
    for (let c = 0; c < k; c++) assign(c, centres, lab, labels, best, width, height, cell, weight)
    sums.fill(0)
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        const s = 6 * labels[i]
        if (s < 0) continue
        sums[s] += lab[3 * i]
        sums[s + 1] += lab[3 * i + 1]
        sums[s + 2] += lab[3 * i + 2]
        sums[s + 3] += x
        sums[s + 4] += y
        sums[s + 5]++
      }
    }
    for (let c = 0; c < k; c++) {
      const size = sums[6 * c + 5]
      if (size) for (let j = 0; j < 5; j++) centres[5 * c + j] = sums[6 * c + j] / size
    }
  }
  const found = connected(labels, width, n / k / 4)
  return { ...found, width, height, colours: means(found.labels, found.count, sharp) }
}

/**
 * Every pixel the mean of itself (twice) and the two beside it, then of those above and below: noise says little.
 * @param {Float32Array} lab @param {number} width @param {number} height
 */
function softened(lab, width, height) {
  /** @param {Float32Array} from @param {number} step @param {(i: number, d: number) => boolean} inside */
  const pass = (from, step, inside) => {
    const out = new Float32Array(from.length)
    for (let i = 0, k = 0; k < from.length; i++, k += 3) {
      const a = inside(i, -1) ? k - step : k, b = inside(i, 1) ? k + step : k
      for (let j = 0; j < 3; j++) out[k + j] = 0.25 * (from[a + j] + 2 * from[k + j] + from[b + j])
    }
    return out
  }
  const n = width * height
  const across = pass(lab, 3, (i, d) => (d < 0 ? i % width > 0 : i % width < width - 1))
  return pass(across, 3 * width, (i, d) => (d < 0 ? i >= width : i + width < n))
}

/** Mean colour step from a pixel to the next. @param {Float32Array} lab @param {number} width */
function grainOf(lab, width) {
  let sum = 0, n = 0
  for (let k = 3; k < lab.length; k += 3) {
    if (k / 3 % width === 0) continue
    sum += Math.abs(lab[k] - lab[k - 3]) + Math.abs(lab[k + 1] - lab[k - 2]) + Math.abs(lab[k + 2] - lab[k - 1])
    n++
  }
  return n ? sum / n : 0
}

/** @param {Int32Array} labels @param {number} count @param {Float32Array} lab */
function means(labels, count, lab) {
  const sums = new Float64Array(3 * count), sizes = new Float64Array(count)
  labels.forEach((label, i) => {
    sizes[label]++
    for (let j = 0; j < 3; j++) sums[3 * label + j] += lab[3 * i + j]
  })
  return Float32Array.from(sums, (v, i) => v / sizes[Math.floor(i / 3)])
}

/**
 * Of the pixel and its eight neighbours the one where colour changes least: no centre starts on an edge.
 * @param {Float32Array} lab @param {number} width @param {number} height @param {number} cx @param {number} cy
 */
function calmest(lab, width, height, cx, cy) {
  let out = cy * width + cx, least = Infinity
  for (let y = Math.max(1, cy - 1); y <= Math.min(height - 2, cy + 1); y++) {
    for (let x = Math.max(1, cx - 1); x <= Math.min(width - 2, cx + 1); x++) {
      const i = y * width + x
      let change = 0
      for (let j = 0; j < 3; j++) {
        const across = lab[3 * (i + 1) + j] - lab[3 * (i - 1) + j]
        const down = lab[3 * (i + width) + j] - lab[3 * (i - width) + j]
        change += across * across + down * down
      }
      if (change < least) [least, out] = [change, i]
    }
  }
  return out
}

/**
 * Pixels within a cell of centre c that it is nearer to than any before.
 * @param {number} c @param {Float32Array} centres @param {Float32Array} lab @param {Int32Array} labels
 * @param {Float32Array} best @param {number} width @param {number} height @param {number} cell @param {number} weight
 */
function assign(c, centres, lab, labels, best, width, height, cell, weight) {
  const [l, a, b, cx, cy] = centres.subarray(5 * c, 5 * c + 5)
  const reach = 1.2 * cell
  const x0 = Math.max(0, Math.ceil(cx - reach)), x1 = Math.min(width - 1, Math.floor(cx + reach))
  const y0 = Math.max(0, Math.ceil(cy - reach)), y1 = Math.min(height - 1, Math.floor(cy + reach))
  for (let y = y0; y <= y1; y++) {
    const down = (y - cy) * (y - cy)
    for (let x = x0, i = y * width + x0; x <= x1; x++, i++) {
      const dl = lab[3 * i] - l, da = lab[3 * i + 1] - a, db = lab[3 * i + 2] - b
      const d = dl * dl + da * da + db * db + weight * ((x - cx) * (x - cx) + down)
      if (d < best[i]) {
        best[i] = d
        labels[i] = c
      }
    }
  }
}

/**
 * Every connected part its own label; parts under `least` pixels join the one before them in reading order.
 * @param {Int32Array} labels @param {number} width @param {number} least
 */
function connected(labels, width, least) {
  const out = new Int32Array(labels.length).fill(-1), part = new Int32Array(labels.length)
  let count = 0
  for (let start = 0; start < labels.length; start++) {
    if (out[start] >= 0) continue
    const x = start % width, old = labels[start]
    const beside = x > 0 ? out[start - 1] : start >= width ? out[start - width] : -1
    let size = 1
    part[0] = start
    out[start] = count
    for (let done = 0; done < size; done++) {
      const i = part[done], column = i % width
      const near = (/** @type {number} */ j) => {
        if (out[j] < 0 && labels[j] === old) {
          out[j] = count
          part[size++] = j
        }
      }
      if (column > 0) near(i - 1)
      if (column < width - 1) near(i + 1)
      if (i >= width) near(i - width)
      if (i + width < labels.length) near(i + width)
    }
    if (size < least && beside >= 0) for (let j = 0; j < size; j++) out[part[j]] = beside
    else count++
  }
  return { labels: out, count }
}

/**
 * The shape of the super-pixel under a point, and of those already chosen.
 * @param {Int32Array} labels @param {number} width @param {number} height @param {number} x @param {number} y
 * @param {Iterable<number>} [set] labels that belong to it too @returns {{polygons: Point[][], holes: Point[][]}}
 */
export function regionAt(labels, width, height, x, y, set = []) {
  const label = labelAt(labels, width, height, x, y)
  return shapeOf(labels, width, height, label < 0 ? set : [...set, label])
}

/**
 * The label under a point; -1 outside.
 * @param {Int32Array} labels @param {number} width @param {number} height @param {number} x @param {number} y
 */
export function labelAt(labels, width, height, x, y) {
  const column = Math.round(x), row = Math.round(y)
  return column >= 0 && row >= 0 && column < width && row < height ? labels[row * width + column] : -1
}

/**
 * The outlines of all super-pixels in a set, as one shape.
 * @param {Int32Array} labels @param {number} width @param {number} height @param {Iterable<number>} set
 * @returns {{polygons: Point[][], holes: Point[][]}}
 */
export function shapeOf(labels, width, height, set) {
  const chosen = new Set(set)
  let x0 = width, y0 = height, x1 = -1, y1 = -1
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!chosen.has(labels[i])) continue
      if (x < x0) x0 = x
      if (x > x1) x1 = x
      if (y < y0) y0 = y
      y1 = y
    }
  }
  if (x1 < 0) return { polygons: [], holes: [] }
  const w = x1 - x0 + 1, h = y1 - y0 + 1, data = new Uint8Array(w * h)
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) if (chosen.has(labels[(y + y0) * width + x + x0])) data[y * w + x] = 1
  }
  return contours({ data, x: x0, y: y0, w, h })
}
