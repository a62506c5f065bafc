// What the mouse does over the editor but means for the graph. Nodes 2.0 hands it on by itself; the older renderer lays the widget
// beside its canvas, which then sees nothing.

/** @import { App, GraphNode } from './types.js' */

/**
 * @param {HTMLElement} root
 * @param {{app: App, node: GraphNode, vue: () => boolean}} host
 */
export function letThrough(root, { app, node, vue }) {
  root.addEventListener('wheel', (e) => {
    const ours = root.contains(document.activeElement) && !e.ctrlKey && !e.metaKey // a list that scrolls
    if (e.defaultPrevented || ours || vue()) return
    e.preventDefault()
    e.stopPropagation()
    app.canvas?.processMouseWheel(e)
  }, { passive: false })

  const middle = (/** @type {'processMouseDown' | 'processMouseMove' | 'processMouseUp'} */ kind) => (/** @type {PointerEvent} */ e) => {
    if (vue() || !(kind === 'processMouseMove' ? e.buttons & 4 : e.button === 1)) return
    e.preventDefault()
    app.canvas?.[kind](e)
  }
  root.addEventListener('pointerdown', middle('processMouseDown'))
  root.addEventListener('pointermove', middle('processMouseMove'))
  root.addEventListener('pointerup', middle('processMouseUp'))

  // pressing in the editor selects its node, as pressing anywhere else on it does
  root.addEventListener('focusin', () => {
    const { canvas } = app
    if (canvas && node.graph === canvas.graph && !canvas.selectedItems?.has(node)) canvas.selectNode?.(node)
  })
}
