// The document in hand and the tools around it, for tests without a page.
import { Session } from '../../web/lib/editor/session.js'
import { TOOLS } from '../../web/lib/editor/tools.js'
import { countOf, middleOf, rasterize } from '../../web/lib/raster.js'

export const SQUARE = { polygons: [[[10, 10], [20, 10], [20, 20], [10, 20]]], holes: [] }

/** An editor with no page around it; a picture pixel is a box pixel. */
export class Bare extends Session {
  constructor(side) {
    super()
    this.size = { width: side, height: side }
    this.image = {}
    this.view = { user: true, scale: 1, width: side, height: side, toScreen: (p) => p }
    this.show = { snap: false }
    this.tools = TOOLS
    this.tool = 'select'
    this.active = 'target'
    this.commits = []
    this.host = { onCommit: (text) => this.commits.push(text) }
    this.gesture = this.draft = null
  }

  /** Without the path, which only a page can make. */
  outline(shape) {
    const mask = rasterize(shape, this.size.width, this.size.height)
    const { x, y, w, h } = mask
    return { box: { x, y, w, h }, centroid: middleOf(mask), area: countOf(mask) }
  }

  draw() {}
  sync() {}
  announce() {}
  say(text) { this.said = text }
  resize(size) { this.size = size }
}
