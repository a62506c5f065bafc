// Where the picture lies in the box: zoom, pan, device pixels; client coordinates <-> picture coordinates.
/** @import { Size } from './types.js' */

const MIN_SCALE = 0.02
const MAX_SCALE = 64

/** Picture point (x, y), pixel centres -> box point: ((x + 1/2) s + x0, (y + 1/2) s + y0), in CSS pixels. */
export class View {
  /** @param {HTMLElement} box the element that the canvas fills @param {HTMLCanvasElement} canvas */
  constructor(box, canvas) {
    this.box = box
    this.canvas = canvas
    this.scale = 1
    this.x = 0
    this.y = 0
    this.dpr = 1
    this.width = 0
    this.height = 0
    this.user = false // the user zoomed or panned: a resize no longer fits the picture
  }

  /** Takes the box's size (layout pixels, without the graph's zoom). False while it has none. */
  layout() {
    const style = getComputedStyle(this.box) // clientWidth is rounded; this is the layout's own size, without transforms
    this.width = parseFloat(style.width) || 0
    this.height = parseFloat(style.height) || 0
    if (!this.width || !this.height) return false
    // the host zooms the graph by a CSS transform: device pixels for what is really on the screen
    const zoom = this.box.getBoundingClientRect().width / this.width || 1
    const ratio = (globalThis.devicePixelRatio || 1) * Math.min(Math.max(zoom, 1), 2)
    this.dpr = Math.min(ratio, 4096 / Math.max(this.width, this.height))
    const w = Math.round(this.width * this.dpr)
    const h = Math.round(this.height * this.dpr)
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w
      this.canvas.height = h
    }
    return true
  }

  /** The whole picture, centred. @param {Size} size */
  fit(size, margin = 10) {
    const w = Math.max(this.width - 2 * margin, 16)
    const h = Math.max(this.height - 2 * margin, 16)
    this.scale = Math.min(w / size.width, h / size.height, MAX_SCALE)
    this.x = (this.width - size.width * this.scale) / 2
    this.y = (this.height - size.height * this.scale) / 2
    this.user = false
  }

  /** One picture pixel on one device pixel, around the middle of the box. */
  actual() {
    this.zoomAt([this.width / 2, this.height / 2], 1 / (globalThis.devicePixelRatio || 1) / this.scale)
  }

  /** Zooms by `factor`; what lies under `at` (box) stays there. @param {number[]} at @param {number} factor */
  zoomAt(at, factor) {
    const next = Math.min(Math.max(this.scale * factor, MIN_SCALE), MAX_SCALE)
    const k = next / this.scale
    this.x = at[0] - (at[0] - this.x) * k
    this.y = at[1] - (at[1] - this.y) * k
    this.scale = next
    this.user = true
  }

  /** @param {number} dx @param {number} dy box pixels */
  pan(dx, dy) {
    this.x += dx
    this.y += dy
    this.user = true
  }

  /** Keeps a corner of the picture within reach. @param {Size} size */
  clamp(size) {
    const keep = 40
    this.x = Math.min(Math.max(this.x, keep - size.width * this.scale), this.width - keep)
    this.y = Math.min(Math.max(this.y, keep - size.height * this.scale), this.height - keep)
  }

  /** Client coordinates of an event -> box. Divides by the size on screen, which holds the graph's zoom.
   *  @param {{clientX: number, clientY: number}} e @returns {[number, number]} */
  toBox(e) {
    const r = this.box.getBoundingClientRect()
    return [((e.clientX - r.left) / (r.width || 1)) * this.width, ((e.clientY - r.top) / (r.height || 1)) * this.height]
  }

  /** Box -> picture. @param {number[]} b @returns {[number, number]} */
  toImage(b) {
    return [(b[0] - this.x) / this.scale - 0.5, (b[1] - this.y) / this.scale - 0.5]
  }

  /** Picture -> box. @param {number[]} p @returns {[number, number]} */
  toScreen(p) {
    return [(p[0] + 0.5) * this.scale + this.x, (p[1] + 0.5) * this.scale + this.y]
  }

  /** Picture -> device pixels of the canvas, for setTransform. @returns {[number, number, number, number, number, number]} */
  matrix() {
    const k = this.scale * this.dpr
    return [k, 0, 0, k, this.x * this.dpr + k / 2, this.y * this.dpr + k / 2]
  }

  state() {
    return { scale: this.scale, x: this.x, y: this.y, user: this.user }
  }

  /** @param {ReturnType<View['state']> | null | undefined} s */
  restore(s) {
    if (s) Object.assign(this, { scale: s.scale, x: s.x, y: s.y, user: s.user })
  }
}
