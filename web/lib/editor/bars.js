// The bar of commands above, the rail of tools at the left, and the options of the tool in hand.
import { arrowKeys, icon, iconButton, make, setIcon, setText } from './dom.js'
import { openMore } from './menu.js'
/** @import { Editor, Mode, Shown, Tool, ToolName } from './types.js' */

/** @param {Editor} ed */
export function buildBars(ed) {
  const act = (/** @type {() => void} */ fn) => () => {
    fn()
    ed.sync()
    ed.focus()
  }
  const flip = (/** @type {Shown} */ name) => act(() => { ed.show[name] = !ed.show[name] })
  const b = {
    undo: iconButton('undo', 'Undo (Ctrl+Z)', act(() => ed.step('undo'))),
    redo: iconButton('redo', 'Redo (Ctrl+Y)', act(() => ed.step('redo'))),
    ghost: iconButton('ghost', 'Ghost: show the moved pixels (G)', flip('ghost')),
    mask: iconButton('mask', 'Show what may change (K)', flip('mask')),
    snap: iconButton('snap', 'Snap to lines, angles and sizes (N; Ctrl while dragging: not)', flip('snap'), { class: 'drg-button drg-less' }),
    fit: iconButton('fit', 'Whole picture (0)', act(() => ed.view.fit(ed.size)), { class: 'drg-button drg-less' }),
    compare: iconButton('compare', 'Result and picture before (hold \\ for before)', act(() => { ed.showing = ed.showing === 'result' ? 'edit' : 'result' })),
    picture: iconButton('picture', 'Get the picture: runs what comes before this node', act(() => ed.host.getImage?.())),
    ask: iconButton('ask', 'Ask what the drag means: runs Drag Intent', act(ask)),
    more: iconButton('more', 'Import, export, help', () => openMore(ed, b.more), { 'aria-haspopup': 'menu' }),
    panel: iconButton('panel', 'Regions, numbers, prompts (L)', act(() => ed.parts.togglePanel())),
    full: iconButton('full', 'Full screen (F)', act(() => ed.toggleFull()))
  }
  const run = make('button', { type: 'button', class: 'drg-pill drg-go', on: { click: act(() => (ed.running ? ed.host.stop?.() : ed.host.run?.())) } })
  const gap = () => make('span', { class: 'drg-gap' })

  function ask() {
    if (ed.doc.prompts.target) ed.say('The drag has its prompt after already: clear it (L) to ask again')
    else ed.host.ask?.()
  }

  const top = make('div', { class: 'drg-top', role: 'toolbar', 'aria-label': 'Commands' },
    b.undo, b.redo, gap(), b.ghost, b.mask, b.snap, gap(), b.fit, b.compare, make('span', { class: 'drg-space' }), run, b.ask, b.picture, b.more, b.panel, b.full)

  const tools = /** @type {Map<ToolName, HTMLButtonElement>} */ (new Map())
  const rail = make('div', { class: 'drg-rail', role: 'toolbar', 'aria-label': 'Tools', 'aria-orientation': 'vertical' })
  for (const [name, tool] of /** @type {[ToolName, Tool][]} */ (Object.entries(ed.tools))) {
    const button = iconButton(tool.icon, `${tool.label} (${tool.key})`, act(() => ed.setTool(name)), { data: { tool: name } })
    tools.set(name, button)
    rail.append(button)
  }
  arrowKeys(top, 'ArrowRight', 'ArrowLeft')
  arrowKeys(rail, 'ArrowDown', 'ArrowUp')
  const options = buildOptions(ed, act)

  function syncRun() {
    const running = String(!!ed.running)
    run.hidden = !ed.host.run
    if (run.dataset.running === running) return
    run.dataset.running = running
    run.replaceChildren(icon(ed.running ? 'stop' : 'play'), make('span', { text: ed.running ? 'Stop' : 'Run' }))
    run.title = ed.running ? 'Stop the running model' : 'Run the graph (Ctrl+Enter)'
    run.setAttribute('aria-label', run.title)
    run.classList.toggle('drg-danger', !!ed.running)
  }

  function sync() {
    syncRun()
    for (const [name, button] of tools) button.setAttribute('aria-pressed', String(ed.tool === name))
    for (const name of /** @type {const} */ (['ghost', 'mask', 'snap'])) b[name].setAttribute('aria-pressed', String(ed.show[name]))
    b.undo.disabled = !ed.history.past.length
    b.redo.disabled = !ed.history.future.length
    b.compare.hidden = !ed.result
    b.compare.setAttribute('aria-pressed', String(ed.showing === 'result'))
    b.ask.hidden = !ed.askable
    b.picture.hidden = !ed.host.getImage
    setIcon(b.full, ed.full ? 'unfull' : 'full')
    const fullTitle = ed.full ? 'Leave full screen (F, Esc)' : 'Full screen (F)'
    b.full.title = fullTitle
    b.full.setAttribute('aria-label', fullTitle)
    options.sync()
  }
  return { top, rail, options: options.el, sync, resizeBrush: options.resizeBrush }
}

/** @param {Editor} ed @param {(fn: () => void) => () => void} act */
function buildOptions(ed, act) {
  const modes = /** @type {Mode[]} */ (['new', 'add', 'subtract']).map((mode) => {
    const names = /** @type {Record<Mode, string>} */ ({ new: 'A new region', add: 'Add to the selected region (Shift)', subtract: 'Take from the selected region (Alt)' })
    const icons = /** @type {Record<Mode, string>} */ ({ new: 'fresh', add: 'add', subtract: 'subtract' })
    return iconButton(icons[mode], names[mode], act(() => { ed.combine = mode }), { data: { mode } })
  })
  const group = make('div', { class: 'drg-group', role: 'group', 'aria-label': 'What the shape does' }, ...modes)
  const size = make('input', { type: 'range', class: 'drg-range', min: '0', max: '100', 'aria-label': 'Brush size' })
  const sizeText = make('span', { class: 'drg-number' })
  const most = () => Math.max(ed.size.width, ed.size.height) / 4
  size.addEventListener('input', () => setBrush(Math.exp((Number(size.value) / 100) * Math.log(most()))))
  size.addEventListener('change', () => ed.focus())
  const sized = make('div', { class: 'drg-sized' }, icon('brush'), size, sizeText)
  const fine = iconButton('subtract', 'Smaller pieces ([)', act(() => ed.tools.wand.grain(ed, -1)))
  const coarse = iconButton('add', 'Larger pieces (])', act(() => ed.tools.wand.grain(ed, 1)))
  const grain = make('div', { class: 'drg-group' }, fine, make('span', { class: 'drg-number', text: 'pieces' }), coarse)
  const painting = make('button', { type: 'button', class: 'drg-pill drg-danger', text: 'Painting what may change: done', on: { click: act(() => ed.parts.paint(false)) } })
  const anchor = make('button', { type: 'button', class: 'drg-pill', title: 'The next click puts the point that the region turns about (A)', on: { click: act(() => { ed.placing = !ed.placing }) } }, 'Anchor')
  const still = make('button', { type: 'button', class: 'drg-pill', title: 'Take the motion away (X)', on: { click: act(() => ed.parts.clearMotion()) } }, 'Reset')
  const el = make('div', { class: 'drg-options' }, painting, group, sized, grain, anchor, still)

  /** @param {number} radius image pixels */
  function setBrush(radius) {
    ed.brush = Math.min(Math.max(radius, 1), most())
    sync()
    ed.draw()
  }

  function sync() {
    const tool = ed.tools[ed.tool]
    const draws = tool.keys !== 'none' && ed.tool !== 'points'
    const idle = ed.showing !== 'edit'
    const region = ed.tool === 'select' ? ed.region : null
    painting.hidden = !ed.paintMask || idle
    group.hidden = !draws || ed.tool === 'eraser' || idle
    for (const button of modes) button.setAttribute('aria-pressed', String(button.dataset.mode === ed.combine))
    sized.hidden = !tool.sized || idle
    size.value = String((100 * Math.log(Math.max(ed.brush, 1))) / Math.log(most()))
    setText(sizeText, `${Math.round(ed.brush)} px`)
    grain.hidden = ed.tool !== 'wand' || idle
    anchor.hidden = still.hidden = !region || idle || !!region.locked
    anchor.setAttribute('aria-pressed', String(ed.placing))
    el.hidden = [...el.children].every((c) => c instanceof HTMLElement && c.hidden)
  }
  return { el, sync, resizeBrush: (/** @type {number} */ factor) => setBrush(ed.brush * factor) }
}
