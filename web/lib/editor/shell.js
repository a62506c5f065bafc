// Builds the editor's elements and hands the modules what they need of each other.
import { buildBars } from './bars.js'
import { buildBottom } from './bottom.js'
import { clearMotion } from './commands.js'
import { make } from './dom.js'
import { handlesOf } from './handles.js'
import { buildIntents } from './intents.js'
import { buildHelp, closeMenus } from './menu.js'
import { buildOverlay } from './overlay.js'
import { buildPanel } from './panel.js'
import { applyStyle } from './style.js'
import { listenTransfer } from './transfer.js'
/** @import { Editor } from './types.js' */

/** @param {Editor} ed */
export function buildShell(ed) {
  applyStyle(ed.root.ownerDocument)
  const label = 'Drag editor canvas: P draws an area, arrows move its target, comma and full stop turn it, question mark lists all keys'
  // The keys arrive at a real input: the host takes no shortcut from one.
  const sink = make('input', { class: 'drg-sink', 'aria-label': label, autocomplete: 'off', inputmode: 'none', spellcheck: 'false' })
  const canvas = make('canvas', { class: 'drg-canvas', 'aria-hidden': 'true' })
  const box = make('div', { class: 'drg-box' }, canvas, sink, make('div', { class: 'drg-ring' }))
  const el = make('div', { class: 'drg', role: 'group', 'aria-label': 'Drag editor', data: { captureWheel: 'true' } })
  Object.assign(ed, { el, box, canvas, sink })

  const bars = buildBars(ed)
  const overlay = buildOverlay(ed)
  const panel = buildPanel(ed)
  const bottom = buildBottom(ed)
  const intents = buildIntents(ed)
  const help = buildHelp(ed)
  box.append(bars.options, overlay.el, help.el)
  el.append(bars.top, make('div', { class: 'drg-body' }, bars.rail, box, panel.el), intents.el, bottom.el)
  ed.root.append(el)

  ed.parts = {
    status: bottom,
    resizeBrush: bars.resizeBrush,
    togglePanel: panel.toggle,
    toggleHelp: help.toggle,
    paint: panel.paint,
    clearMotion: () => clearMotion(ed),
    handles: () => handlesOf(ed),
    closePopups: () => [closeMenus(ed), help.close(), panel.closeSheet()].some(Boolean),
    frame() {
      panel.numbers()
      bottom.frame()
    },
    sync() {
      bars.sync()
      overlay.sync()
      panel.sync()
      bottom.sync()
      intents.sync()
      intents.mark()
    }
  }
  listenTransfer(ed)
}
