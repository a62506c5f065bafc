// Under some of our nodes stands what they said when they ran: notes, a table, a report.
import { app } from '../../scripts/app.js'
/** @import { GraphNode, Output } from './lib/host/types.js' */

const NODES = ['DragEditor', 'DragRegionMaskAffine', 'DragCrop', 'DragMetrics', 'DragMLLMScore', 'DragIntent', 'DragAdapterInjection',
  'DragOptimize']
const NAME = 'drag_text'

const LISTS = ['losses', 'updates_by_level', 'handles'] // of DragOptimize's report; the losses stand there as a curve

/** DragOptimize's report, a line for each field but the long lists. @param {string} report */
function shortened(report) {
  const fields = Object.entries(JSON.parse(report)).filter(([name, x]) => x !== null && !LISTS.includes(name))
  return fields.map(([name, x]) => `${name}: ${typeof x === 'object' ? JSON.stringify(x) : x}`).join('\n')
}

/** @param {Output | undefined} output */
function said(output) {
  if (output?.drag_report) return output.drag_report.map(shortened).join('\n')
  return [output?.text ?? []].flat().join('\n')
}

/** A read-only text, the node's last widget; it goes into neither the workflow nor the prompt. @param {GraphNode} node */
function textWidget(node) {
  const area = document.createElement('textarea')
  area.className = 'comfy-multiline-input'
  area.readOnly = true
  area.ariaLabel = 'What the node said'
  area.placeholder = 'nothing to note'
  area.dataset.captureWheel = 'true' // else Nodes 2.0 zooms the graph where the text should scroll
  area.style.minHeight = '120px'
  if (node.comfyClass === 'DragMetrics') area.style.whiteSpace = 'pre' // a table
  const widget = node.addDOMWidget(NAME, 'DRAG_TEXT', area, {
    getValue: () => area.value,
    setValue: (/** @type {string} */ text) => { area.value = text },
    getMinHeight: () => 120,
    hideInPanel: true,
    serialize: false // not in the prompt
  })
  widget.serialize = false // not in the workflow
  node.expandToFitContent?.()
  return widget
}

/** @param {GraphNode} node @param {Output | undefined} output */
function show(node, output) {
  const text = said(output)
  const widget = node.widgets?.find((w) => w.name === NAME) ?? (text && textWidget(node))
  if (widget) widget.value = text
}

app.registerExtension({
  name: 'drag.Text',
  nodeCreated(node) {
    if (!NODES.includes(node.comfyClass ?? '')) return
    const before = node.onExecuted
    /** @this {GraphNode} @param {unknown} output */
    node.onExecuted = function (output) {
      before?.call(this, output)
      show(this, /** @type {Output | undefined} */ (output))
    }
  },
  /** Results that come back with a workflow, as when its tab is opened again. */
  onNodeOutputsUpdated(outputs) {
    for (const [id, output] of Object.entries(outputs)) {
      const node = app.graph?.getNodeById(id)
      if (node && NODES.includes(node.comfyClass ?? '')) show(node, output)
    }
  }
})
