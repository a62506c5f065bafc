/**
 * Which task a drag is likely to be.
 *
 * @typedef {import('./geometry.js').Motion} Motion
 * @typedef {import('./slic.js').Segments} Segments
 */
import { rasterize } from './raster.js'

const TURN = 3 * Math.PI / 180 // a smaller turn is a slip of the hand
const PART = 0.35 // of the object: what is smaller is a part of it, and moving it deforms the object
const ALIKE = 12 // CIELAB distance up to which super-pixels belong to one object
const BACKGROUND = 0.5 // of the picture: what is alike so widely is no object

/**
 * A turn or an anchor says rotation; factors say scale; moving a part of an object deforms it; all else is relocated.
 * @param {import('./raster.js').Shape & {anchor?: [number, number]}} region
 * @param {Motion} motion at full progress
 * @param {Segments | null} [segments] what slic() gives; null: not there yet, no part is told from a whole
 * @returns {'relocation' | 'deformation' | 'rotation' | 'scale'}
 */
export function autoTask(region, motion, segments = null) {
  if (motion.scale.some((s) => Math.abs(s - 1) > 0.01)) return 'scale'
  if (region.anchor || Math.abs(motion.angle) > TURN) return 'rotation'
  const moves = motion.path.length || motion.shift[0] || motion.shift[1]
  return moves && segments?.colours && shareOf(region, segments) < PART ? 'deformation' : 'relocation'
}

/**
 * The region's share of the object around it; 1 where there is none.
 * @param {import('./raster.js').Shape} region @param {Segments} segments
 */
function shareOf(region, segments) {
  const { labels, count, width, height, colours } = segments
  const mask = rasterize(region, width, height), covered = new Float64Array(count), sizes = sizesOf(segments)
  let area = 0
  for (let y = 0, i = 0; y < mask.h; y++) {
    for (let x = 0; x < mask.w; x++, i++) {
      if (!mask.data[i]) continue
      covered[labels[(y + mask.y) * width + x + mask.x]]++
      area++
    }
  }
  if (!area) return 1
  const seeds = [...covered.keys()].filter((label) => covered[label] > 0.5 * sizes[label])
  const mean = [0, 1, 2].map((j) => covered.reduce((sum, n, label) => sum + n * colours[3 * label + j], 0) / area)
  const alike = (/** @type {number} */ label) => Math.hypot(...mean.map((v, j) => v - colours[3 * label + j])) < ALIKE
  const work = seeds.length ? seeds : [covered.indexOf(Math.max(...covered))]
  const object = new Set(work), beside = neighbours(segments)
  while (work.length) {
    for (const label of beside[/** @type {number} */ (work.pop())]) {
      if (object.has(label) || !alike(label)) continue
      object.add(label)
      work.push(label)
    }
  }
  // the object holds the whole region, also where it covers little of a super-pixel
  const whole = [...covered.keys()].reduce((sum, label) => sum + (object.has(label) ? sizes[label] : covered[label]), 0)
  return whole > BACKGROUND * width * height ? 1 : area / whole
}

/** @param {Segments} segments */
function sizesOf({ labels, count }) {
  const out = new Float64Array(count)
  for (let i = 0; i < labels.length; i++) out[labels[i]]++
  return out
}

/** Of every label those beside it. @param {Segments} segments @returns {Set<number>[]} */
function neighbours({ labels, count, width }) {
  const out = Array.from({ length: count }, () => new Set())
  for (let i = 0; i < labels.length; i++) {
    for (const j of [(i + 1) % width ? i + 1 : i, i + width < labels.length ? i + width : i]) {
      if (labels[i] === labels[j]) continue
      out[labels[i]].add(labels[j])
      out[labels[j]].add(labels[i])
    }
  }
  return out
}
