// What is worked out once for a marking and kept: outline, centroid, box, and the pixels that it cuts from the picture.
import { polygonCentroid } from '../geometry.js'
import { contours, countOf, hullOfMask, middleOf, rasterize } from '../raster.js'
/** @import { Context, MarkedShape, Picture, Point, Size, Stroke } from './types.js' */

/**
 * @typedef {object} Outline
 * @property {Point[][]} polygons for drawing; filled by the even-odd rule
 * @property {Path2D} path the same
 * @property {[number, number]} centroid mean of the set pixels
 * @property {{x: number, y: number, w: number, h: number}} box pixels; w = 0 for an empty marking
 * @property {number} area pixels
 * @property {Point[]} hull of the set pixels
 * @property {{image: Picture, canvas: HTMLCanvasElement, x: number, y: number}} [cut] the marked pixels of the picture
 */

/** @param {Point[][]} polygons */
export function pathOf(polygons) {
  const path = new Path2D()
  for (const polygon of polygons) {
    polygon.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)))
    path.closePath()
  }
  return path
}

/** Markings by the list of their polygons: a region whose target moves keeps that list, and so its outline. */
export class Shapes {
  constructor() {
    /** @type {WeakMap<object, {size: string, holes: Point[][], strokes: Stroke[], outline: Outline}>} */
    this.known = new WeakMap()
  }

  /** @param {MarkedShape} shape region or editable area @param {Size} size @returns {Outline} */
  of(shape, size) {
    const key = `${size.width}x${size.height}`
    const kept = this.known.get(shape.polygons)
    if (kept && kept.size === key && kept.holes === shape.holes && kept.strokes === shape.strokes) return kept.outline
    const outline = outlined(shape, size)
    this.known.set(shape.polygons, { size: key, holes: shape.holes, strokes: shape.strokes, outline })
    return outline
  }
}

/** @param {MarkedShape} shape @param {Size} size @returns {Outline} */
function outlined(shape, { width, height }) {
  const mask = rasterize(shape, width, height)
  const simple = shape.polygons.length === 1 && !shape.holes.length && !shape.strokes.length
  let polygons = shape.polygons
  if (!simple) {
    const traced = contours(mask)
    polygons = [...traced.polygons, ...traced.holes]
  }
  const centroid = middleOf(mask) ?? polygonCentroid(shape.polygons[0] ?? shape.strokes[0]?.points ?? [])
  const { x, y, w, h } = mask
  return { polygons, path: pathOf(polygons), centroid, box: { x, y, w, h }, area: countOf(mask), hull: hullOfMask(mask) }
}

/**
 * The picture inside the outline, smooth at its edge: {canvas, x, y}, with x, y its corner in picture coordinates.
 * @param {Outline} outline @param {Picture | null} image @param {Size} size
 */
export function cutOf(outline, image, size) {
  if (!image || !outline.box.w) return null
  if (outline.cut?.image === image) return outline.cut
  const { x, y, w, h } = outline.box
  const canvas = document.createElement('canvas')
  canvas.width = w + 2
  canvas.height = h + 2
  const g = /** @type {Context} */ (canvas.getContext('2d'))
  g.translate(1.5 - x, 1.5 - y) // a pixel i covers [i - 1/2, i + 1/2); one pixel of room for the soft edge
  g.fill(outline.path, 'evenodd')
  g.globalCompositeOperation = 'source-in'
  g.drawImage(image, -0.5, -0.5, size.width, size.height)
  outline.cut = { image, canvas, x: x - 1.5, y: y - 1.5 }
  return outline.cut
}

const probe = { context: /** @type {Context | null} */ (null) }

/** Whether the outline holds the point. @param {Outline} outline @param {Point} p */
export function inside(outline, p) {
  probe.context ??= document.createElement('canvas').getContext('2d')
  return !!probe.context?.isPointInPath(outline.path, p[0], p[1], 'evenodd')
}
