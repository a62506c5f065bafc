// DragOptimize: choosing a recipe shows its numbers in `method`; changing one of them by hand makes the recipe custom.
import { app } from '../../scripts/app.js'
/** @import { GraphNode, Widget } from './lib/host/types.js' */

/** @typedef {[string, Record<string, unknown>]} Recipe its method, and the values of the method's widgets */

/** @param {GraphNode} node @param {string} name */
const widgetOf = (node, name) => node.widgets?.find((w) => w.name === name)

let importing = 0 // an import in API format sets every widget as a hand would

/** @param {Widget} widget @param {(value: unknown) => void} after */
function chain(widget, after) {
  const before = widget.callback
  /** @this {Widget} @param {...unknown} args */
  widget.callback = function (...args) {
    const out = before?.apply(this, args)
    after(args[0])
    return out
  }
}

app.registerExtension({
  name: 'drag.Recipes',
  setup() {
    const load = app.loadApiJson
    if (typeof load !== 'function') return
    /** @this {unknown} @param {...unknown} args */
    app.loadApiJson = async function (...args) {
      importing++
      try {
        return await load.apply(this, args)
      } finally {
        importing--
      }
    }
  },
  nodeCreated(node) {
    if (node.comfyClass !== 'DragOptimize') return
    const told = node.constructor.nodeData?.input?.required?.recipe?.[1]?.drag_numbers
    const numbers = /** @type {Record<string, Recipe>} */ (told ?? {})
    const seen = new WeakSet()
    let filling = false

    /** The method's own widgets are made anew whenever it changes. */
    function watch() {
      for (const widget of node.widgets ?? []) {
        if (seen.has(widget) || !(widget.name === 'method' || widget.name.startsWith('method.'))) continue
        seen.add(widget)
        chain(widget, () => {
          watch()
          const recipe = widgetOf(node, 'recipe')
          const own = numbers[String(recipe?.value)]
          if (filling || importing || !recipe || !own) return
          const shown = widget.name === 'method' ? own[0] : own[1][widget.name.slice('method.'.length)]
          if (widget.value !== shown) recipe.value = 'custom'
        })
      }
    }

    function fill(/** @type {unknown} */ name) {
      const own = numbers[String(name)]
      if (importing || !own) return
      const [method, values] = own
      const chosen = widgetOf(node, 'method')
      filling = true
      try {
        if (chosen) chosen.value = method
        watch()
        for (const [key, value] of Object.entries(values)) {
          const widget = widgetOf(node, `method.${key}`)
          if (widget) widget.value = value
        }
      } finally {
        filling = false
      }
      app.canvas?.setDirty(true, true)
    }

    const recipe = widgetOf(node, 'recipe')
    if (!recipe) return
    chain(recipe, fill)
    const configured = node.onConfigure
    /** @this {GraphNode} @param {...unknown} args */
    node.onConfigure = function (...args) {
      const out = configured?.apply(this, args)
      watch() // a saved workflow brings its own method and numbers
      return out
    }
    watch()
  }
})
