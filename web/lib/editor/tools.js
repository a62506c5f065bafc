// The tools in the order of the bar.
import { brush, eraser } from './tool_brush.js'
import { points } from './tool_points.js'
import { select } from './tool_select.js'
import { ellipse, polygon, rectangle } from './tool_shape.js'
import { wand } from './tool_wand.js'
/** @import { Tool, Tools } from './types.js' */

/** @type {Tool} */
const pan = {
  label: 'Pan', key: 'H', icon: 'pan', keys: 'none', cursor: 'grab', hint: 'Drag to move the picture; with any tool: hold Space, or two fingers', down: () => null
}

/** @type {Tools} */
export const TOOLS = { select, polygon, rectangle, ellipse, brush, eraser, wand, points, pan }
