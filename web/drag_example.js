// DragExampleScene: workflows from before it had `scenes` keep their plain scenes; a node that is added starts with lit ones.
import { app } from '../../scripts/app.js'
/** @import { GraphNode } from './lib/host/types.js' */

/** @typedef {{widgets_values?: unknown[], widgets_values_named?: Record<string, unknown>}} Saved */
/** @typedef {Record<string, {class_type?: string, inputs?: Record<string, unknown>}>} Prompt */

const TYPE = 'DragExampleScene'

/** Whether a saved node has a value for the widget at this place. @param {Saved} saved @param {number} at */
const has = (saved, at) => (saved.widgets_values_named ? 'scenes' in saved.widgets_values_named : (saved.widgets_values?.length ?? 0) > at)

app.registerExtension({
  name: 'drag.ExampleScene',
  setup() {
    const load = app.loadApiJson
    if (typeof load !== 'function') return
    /** @this {unknown} @param {...unknown} args */
    app.loadApiJson = function (...args) {
      const older = (/** @type {Prompt[string]} */ n) => n?.class_type === TYPE && n.inputs && !('scenes' in n.inputs)
      const nodes = Object.entries(/** @type {Prompt} */ (args[0] ?? {}))
      args[0] = Object.fromEntries(nodes.map(([id, n]) => [id, older(n) ? { ...n, inputs: { ...n.inputs, scenes: 'plain' } } : n]))
      return load.apply(this, args)
    }
  },
  nodeCreated(node) {
    if (node.comfyClass !== TYPE) return
    const configured = node.onConfigure
    /** @this {GraphNode} @param {...unknown} args */
    node.onConfigure = function (...args) {
      const out = configured?.apply(this, args)
      const at = node.widgets?.findIndex((w) => w.name === 'scenes') ?? -1
      const saved = /** @type {Saved} */ (args[0] ?? {})
      if (node.widgets && at >= 0 && (saved.widgets_values || saved.widgets_values_named) && !has(saved, at)) node.widgets[at].value = 'plain'
      return out
    }
  }
})
